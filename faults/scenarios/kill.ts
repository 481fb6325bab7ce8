import { setTimeout as sleep } from 'node:timers/promises';
import { type Cluster, createCluster } from '../cluster.ts';
import { say, signalPid } from '../processes.ts';
import { type Row, type Scenario, seconds } from '../report.ts';
import { startService } from '../service.ts';
import { prepare } from '../stage.ts';
import { startTraffic } from '../traffic.ts';
import { type Cause, rowOf, type Scene, type Trial, tryCause } from '../trial.ts';

const RATE = 200;

interface KillScene extends Scene {
  readonly cluster: Cluster;
}

async function backend({ cluster, random }: Scene): Promise<number> {
  return cluster.connected(async (client) => {
    const { rows } = await client.query<{ pid: number }>(
      `SELECT pid FROM pg_stat_activity WHERE application_name IN ('kohort', 'kohort-probe', 'kohort-jobs')`,
    );
    return rows[Math.floor(random() * rows.length)]?.pid ?? 0;
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
      // A start is all there is to it; where others use the machine as well, it takes as long as it takes.
      recovered: Math.max(5_000, 2 * service.startTook),
      strike: async () => service.signal('SIGKILL'),
    },
    terminated: {
      name: 'pg_terminate_backend of one backend',
      async strike() {
        const pid = await backend(scene);
        await cluster.connected((client) => client.query('SELECT pg_terminate_backend($1)', [pid]));
      },
    },
    backend: {
      name: 'SIGKILL of one PostgreSQL backend (all of them restart)',
      async strike() {
        signalPid(await backend(scene), 'SIGKILL');
      },
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

/** All that the causes of a scenario need: a cluster, a service on it, and 200 writes a second. */
export async function setScene(random: () => number, rate = RATE): Promise<KillScene> {
  const cluster = await createCluster();
  const service = await startService({ databaseUrl: cluster.url });
  const { ledger, token } = await prepare(cluster, service.port, { users: 400, random });
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
  // Shuffled, so that no kill always follows the same other.
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
