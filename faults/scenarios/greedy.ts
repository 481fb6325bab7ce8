import { setTimeout as sleep } from 'node:timers/promises';
import { type Cluster, createCluster } from '@kohort/testkit/cluster.ts';
import { signIn } from '@kohort/testkit/http.ts';
import { say } from '@kohort/testkit/processes.ts';
import { ADMIN_PASSWORD } from '@kohort/testkit/service.ts';
import { receiverEnv } from '../greedy/fed.ts';
import { type Input, isWorthTrying } from '../greedy/inputs.ts';
import { type Outcome, rowsOf, tableOf } from '../greedy/rows.ts';
import { tryAll, tryCrowds, turnLimitMs } from '../greedy/try-all.ts';
import { watchTurns } from '../greedy/turns.ts';
import { callWitness } from '../greedy/witness.ts';
import { makeWorld, type World } from '../greedy/world.ts';
import type { Row, Scenario } from '../report.ts';
import { startService } from '../service.ts';

const whole = {
  users: 1_000,
  lists: 1_000,
  dynamic: 100,
  crowdedLists: 10_500,
  fed: { definitions: 60, members: 5_000 },
};
const small = { users: 50, lists: 100, dynamic: 20, crowdedLists: 3_000, fed: { definitions: 12, members: 300 } };
const aloneMs = 2_000;
const template = 'kohort';

/** One way of running the service. */
interface Mode {
  readonly name: string;
  readonly instances: number;
  readonly workers: number;
  /** All inputs with one process; with several processes, those that differ. */
  readonly wanted: (input: Input) => boolean;
}

const modes: readonly Mode[] = [
  { name: '1 process', instances: 1, workers: 1, wanted: () => true },
  { name: '2 processes', instances: 1, workers: 2, wanted: isWorthTrying },
  { name: '2 instances', instances: 2, workers: 1, wanted: isWorthTrying },
];

/** How long one caller can make the others wait, by one call and by many. */
export const greedy: Scenario = async ({ quick }) => {
  const cluster = await createCluster();
  const world = await makeOnce(cluster, quick);
  const rows: Row[] = [];
  for (const [i, mode] of modes.entries()) {
    say(`  ${mode.name}`);
    const database = `greedy_${i}`;
    await cluster.connected(
      (client) => client.query(`CREATE DATABASE ${database} TEMPLATE ${template} OWNER kohort STRATEGY FILE_COPY`),
      'postgres',
    );
    const outcome = await tryMode(mode, world, cluster.urlOf(database));
    process.stdout.write(`\n${tableOf(outcome)}\n\n`);
    rows.push(...rowsOf(outcome));
    await cluster.connected((client) => client.query(`DROP DATABASE ${database} WITH (FORCE)`), 'postgres');
  }
  await cluster.stop();
  return rows;
};

/** Each mode gets a copy, since the inputs change much of it. */
async function makeOnce(cluster: Cluster, quick: boolean): Promise<World> {
  const service = await startService({ databaseUrl: cluster.url, env: receiverEnv });
  const token = await signIn(service.url, 'admin', ADMIN_PASSWORD);
  const world = await makeWorld(service.url, token, quick ? small : whole);
  await service.stop();
  return world;
}

async function tryMode({ name, instances, workers, wanted }: Mode, made: World, databaseUrl: string): Promise<Outcome> {
  const services = [];
  for (let i = 0; i < instances; i++) {
    services.push(
      await startService({
        databaseUrl,
        env: { ...receiverEnv, WORKERS: String(workers) },
        nodeArgs: ['--inspect=127.0.0.1:0'],
      }),
    );
  }
  const urls = services.map(({ url }) => url);
  const world: World = { ...made, url: urls[0] ?? '', urls };
  const witness = await callWitness({ urls, token: world.otherKey });
  const alone = await witness.beside(() => sleep(aloneMs));
  const turns = await watchTurns(services.map((service) => service.output()).join('\n'), turnLimitMs);
  const crowds = await tryCrowds(world, turns, witness);
  const tried = await tryAll(world, { turns, witness, wanted });
  const restarts = services.reduce((sum, service) => sum + service.restarts(), 0);
  turns.close();
  await witness.close();
  for (const service of services) await service.stop();
  return { mode: name, tried, crowds, alone, restarts };
}
