import { setTimeout as sleep } from 'node:timers/promises';
import { createCluster } from '@kohort/testkit/cluster.ts';
import { say } from '@kohort/testkit/processes.ts';
import { type CuttableProxy, type Rules, startProxy } from '../proxy.ts';
import { type Row, type Scenario, seconds } from '../report.ts';
import { startService } from '../service.ts';
import { prepare, untilJobIsDone } from '../stage.ts';
import { startTraffic } from '../traffic.ts';
import { type Cause, rowOf, tryCause } from '../trial.ts';

const COMMIT = 'COMMIT\0';
const hitWithinMs = 10_000;
const deafConnections = 3;

interface During {
  readonly proxy: CuttableProxy;
  readonly rules: () => Rules;
  /** The counter that the rule raises. */
  readonly hits: () => number;
}

/** Lasts at least this long, and until a connection was hit: otherwise the rule has tested nothing. */
function during(name: string, milliseconds: number, { proxy, rules, hits }: During): Cause {
  return {
    name,
    async strike() {
      const before = hits();
      const began = performance.now();
      proxy.rule(rules());
      await sleep(milliseconds);
      while (hits() === before && performance.now() - began < milliseconds + hitWithinMs) await sleep(50);
      proxy.heal();
      if (hits() === before) throw new Error(`${name}: no connection was hit`);
    },
  };
}

export function networkCauses(proxy: CuttableProxy, random: () => number) {
  const cuttingBy = (name: string, rules: () => Rules): Cause =>
    during(name, 3_000, { proxy, rules, hits: proxy.cuts });
  const cutting = (name: string, rules: Rules): Cause => cuttingBy(name, () => rules);
  const hampering = (name: string, milliseconds: number, rules: Rules): Cause =>
    during(name, milliseconds, { proxy, rules: () => rules, hits: proxy.hampered });
  return {
    delay: hampering('Network: 30 ms more each way', 3_000, { delay: 30 }),
    stall: hampering('Network: 8 s more each way', 5_000, { delay: 8_000 }),
    halfOpen: hampering('Network: half-open, everything vanishes for 5 s', 5_000, { swallow: true }),
    refuse: cutting('Network: all connections reset, new ones refused, for 3 s', { refuse: true }),
    bytes: cuttingBy('Network: each connection cut after 200 to 3,000 bytes of answers, for 3 s', () => ({
      cutAfterBytes: 200 + Math.floor(random() * 2_800),
    })),
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

/** A few connections hang while the others, including the probe's, work: only a timeout can detect that. */
function deaf(proxy: CuttableProxy): Cause {
  return {
    name: `Network: ${deafConnections} of the pool’s connections deaf, the others fine`,
    async strike() {
      const hit = proxy.silence(deafConnections, 'kohort');
      await sleep(13_000);
      if (hit() < deafConnections)
        throw new Error(`only ${hit()} of ${deafConnections} connections were used, and went deaf`);
    },
  };
}

export const network: Scenario = async ({ quick, random }) => {
  const cluster = await createCluster();
  const proxy = await startProxy(cluster.url);
  const service = await startService({ databaseUrl: proxy.url });
  const { ledger, token } = await prepare(cluster, service.url, { users: 400, random });
  const traffic = startTraffic({ ledger, port: () => service.port, token: () => token, rate: 200 });
  const scene = { cluster, service, ledger, traffic, random };
  const causes = networkCauses(proxy, random);
  const rows: Row[] = [];
  for (const [name, cause] of Object.entries(causes)) {
    const times = quick || ['delay', 'stall', 'halfOpen', 'refuse', 'bytes'].includes(name) ? 1 : 2;
    const trials = [];
    const before = proxy.cuts();
    for (let i = 0; i < times; i++) {
      say(`  ${cause.name}`);
      trials.push(await tryCause(scene, cause));
    }
    const job = await untilJobIsDone(cluster, service.url, token, 10_000);
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
