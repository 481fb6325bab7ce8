import { setTimeout as sleep } from 'node:timers/promises';
import { createCluster } from '../cluster.ts';
import { say } from '../processes.ts';
import { type CuttableProxy, type Rules, startProxy } from '../proxy.ts';
import { type Row, type Scenario, seconds } from '../report.ts';
import { startService } from '../service.ts';
import { prepare, untilJobIsDone } from '../stage.ts';
import { startTraffic } from '../traffic.ts';
import { type Cause, rowOf, tryCause } from '../trial.ts';

const COMMIT = 'COMMIT\0';

function during(proxy: CuttableProxy, name: string, milliseconds: number, rules: Rules): Cause {
  return {
    name,
    async strike() {
      proxy.rule(rules);
      await sleep(milliseconds);
      proxy.heal();
    },
  };
}

export function networkCauses(proxy: CuttableProxy, random: () => number) {
  const cutting = (name: string, rules: Rules): Cause => during(proxy, name, 3_000, rules);
  return {
    delay: during(proxy, 'Network: 30 ms more each way', 3_000, { delay: 30 }),
    stall: during(proxy, 'Network: 8 s more each way', 5_000, { delay: 8_000 }),
    halfOpen: during(proxy, 'Network: half-open, everything vanishes for 5 s', 5_000, { swallow: true }),
    refuse: during(proxy, 'Network: all connections reset, new ones refused, for 3 s', 3_000, { refuse: true }),
    bytes: {
      name: 'Network: each connection cut after 200 to 3,000 bytes of answers, for 3 s',
      async strike() {
        proxy.rule({ cutAfterBytes: 200 + Math.floor(random() * 2_800) });
        await sleep(3_000);
        proxy.heal();
      },
    },
    beforeCommit: cutting('Network: cut before COMMIT is passed on', {
      judge: (piece) => (piece.includes(COMMIT) && random() < 0.3 ? 'cut before' : 'pass'),
    }),
    afterCommit: cutting('Network: cut after COMMIT was passed on', {
      judge: (piece) => (piece.includes(COMMIT) && random() < 0.3 ? 'cut after' : 'pass'),
    }),
    afterAny: cutting('Network: cut after any statement was passed on', {
      judge: () => (random() < 0.03 ? 'cut after' : 'pass'),
    }),
  } satisfies Record<string, Cause>;
}

/** A few connections go deaf while the others, the probe's among them, are fine: nobody can tell but by waiting. */
function deaf(proxy: CuttableProxy): Cause {
  return {
    name: 'Network: 3 of the pool’s connections deaf, the others fine',
    async strike() {
      proxy.silence(3);
      await sleep(13_000);
    },
  };
}

export const network: Scenario = async ({ quick, random }) => {
  const cluster = await createCluster();
  const proxy = await startProxy(cluster.url);
  const service = await startService({ databaseUrl: proxy.url });
  const { ledger, token } = await prepare(cluster, service.port, { users: 400, random });
  const traffic = startTraffic({ ledger, port: () => service.port, token: () => token, rate: 200 });
  const scene = { cluster, service, ledger, traffic, random };
  const causes = networkCauses(proxy, random);
  const rows: Row[] = [];
  for (const [name, cause] of Object.entries(causes)) {
    const times = quick || ['delay', 'stall', 'refuse'].includes(name) ? 1 : 2;
    const trials = [];
    const before = proxy.cuts();
    for (let i = 0; i < times; i++) {
      say(`  ${cause.name}`);
      trials.push(await tryCause(scene, cause));
    }
    const job = await untilJobIsDone(cluster, service.port, token, 10_000);
    const plain = rowOf(cause, trials);
    const row = { ...plain, seen: `${plain.seen}; a job afterwards ${seconds(job)}`, held: plain.held && job < 10_000 };
    const cuts = proxy.cuts() - before;
    rows.push(cuts > 0 ? { ...row, times: cuts, seen: `${cuts} connections cut; ${row.seen}` } : row);
  }
  if (!quick) {
    const cause = deaf(proxy);
    say(`  ${cause.name}`);
    rows.push(rowOf(cause, [await tryCause(scene, cause)], { slowest: 13_000 }));
  }
  await traffic.stop();
  await service.stop();
  await proxy.close();
  await cluster.stop();
  return rows;
};
