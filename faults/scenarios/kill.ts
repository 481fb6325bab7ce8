import { setTimeout as sleep } from 'node:timers/promises';
import { type Cluster, createCluster } from '@kohort/testkit/cluster.ts';
import { say, signalPid } from '@kohort/testkit/processes.ts';
import type pg from 'pg';
import { type Row, type Scenario, seconds } from '../report.ts';
import { startService } from '../service.ts';
import { prepare } from '../stage.ts';
import { startTraffic } from '../traffic.ts';
import { type Cause, rowOf, type Scene, type Trial, tryCause } from '../trial.ts';

const writesPerS = 200;
const hitWithinMs = 10_000;

interface KillScene extends Scene {
  readonly cluster: Cluster;
}

/** Repeats until `find` has met a backend that is executing a write: killing an idle backend proves nothing. */
async function untilHit(
  { cluster }: Scene,
  find: (client: pg.Client, atWork: string) => Promise<boolean>,
): Promise<void> {
  await cluster.connected(async (client) => {
    for (const began = performance.now(); performance.now() - began < hitWithinMs; await sleep(1)) {
      // Only a backend that writes has a transaction id.
      if (await find(client, `application_name = 'kohort' AND state = 'active' AND backend_xid IS NOT NULL`)) return;
    }
    throw new Error('no backend was met at work');
  });
}

export function causesOf(scene: KillScene) {
  const { cluster, service } = scene;
  const frozenFor = (milliseconds: number, name: string): Cause => ({
    name,
    async strike() {
      await cluster.freeze();
      await sleep(milliseconds);
      await cluster.thaw();
    },
  });
  return {
    service: {
      name: `SIGKILL of the service (a start takes ${seconds(service.startTook)} here)`,
      restarts: 1,
      // The recovery is nothing but a start, so its limit grows with the time that a start takes on this machine.
      recovered: Math.max(5_000, 2 * service.startTook),
      async strike() {
        if (!service.signal('SIGKILL')) throw new Error('the service was not there to be killed');
      },
    },
    terminated: {
      name: 'pg_terminate_backend of one backend that is writing',
      strike: () =>
        untilHit(scene, async (client, atWork) => {
          const { rows } = await client.query<{ hit: boolean }>(
            `SELECT pg_terminate_backend(pid) AS hit FROM (SELECT pid FROM pg_stat_activity WHERE ${atWork} LIMIT 1) one`,
          );
          return rows[0]?.hit === true;
        }),
    },
    backend: {
      name: 'SIGKILL of one PostgreSQL backend that is writing (all of them restart)',
      strike: () =>
        untilHit(scene, async (client, atWork) => {
          const { rows } = await client.query<{ pid: number }>(
            `SELECT pid FROM pg_stat_activity WHERE ${atWork} LIMIT 1`,
          );
          return rows[0] !== undefined && signalPid(rows[0].pid, 'SIGKILL');
        }),
    },
    postgres: {
      name: 'SIGKILL of the whole PostgreSQL, started again after up to 2 s',
      async strike() {
        await cluster.kill();
        await sleep(scene.random() * 2_000);
        await cluster.start();
      },
    },
    frozen: frozenFor(3_000, 'SIGSTOP of PostgreSQL for 3 s'),
    frozenLong: frozenFor(30_000, 'SIGSTOP of PostgreSQL for 30 s'),
  } satisfies Record<string, Cause>;
}

export type Kind = keyof ReturnType<typeof causesOf>;

const FULL: readonly [Kind, number][] = [
  ['service', 6],
  ['terminated', 3],
  ['backend', 3],
  ['postgres', 5],
  ['frozen', 2],
  ['frozenLong', 1],
];
const QUICK: readonly [Kind, number][] = [
  ['service', 1],
  ['terminated', 1],
  ['backend', 1],
  ['postgres', 1],
  ['frozen', 1],
];

/** What the causes of a scenario need: a cluster, a service on it, and 200 writes a second. */
export async function setScene(random: () => number, rate = writesPerS): Promise<KillScene> {
  const cluster = await createCluster();
  const service = await startService({ databaseUrl: cluster.url });
  const { ledger, token } = await prepare(cluster, service.url, { users: 400, random });
  const traffic = startTraffic({ ledger, port: () => service.port, token: () => token, rate });
  return { cluster, service, ledger, traffic, random };
}

export async function leave({ cluster, service, traffic }: KillScene): Promise<void> {
  await traffic.stop();
  await service.stop();
  await cluster.stop();
}

export const kill: Scenario = async ({ quick, random }) => {
  const scene = await setScene(random);
  const causes = causesOf(scene);
  const plan = (quick ? QUICK : FULL).flatMap(([kind, times]) => Array<Kind>(times).fill(kind));
  // Shuffled, so that a kill does not always follow the same one.
  for (let i = plan.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    const [a, b] = [plan[i], plan[j]];
    if (a && b) [plan[i], plan[j]] = [b, a];
  }
  const trials = new Map<Kind, Trial[]>();
  for (const [i, kind] of plan.entries()) {
    say(`  ${i + 1}/${plan.length} ${causes[kind].name}`);
    trials.set(kind, [...(trials.get(kind) ?? []), await tryCause(scene, causes[kind])]);
  }
  await leave(scene);
  return [...trials].map(([kind, ones]): Row => rowOf(causes[kind], ones));
};
