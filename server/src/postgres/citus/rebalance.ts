import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { selectPlacement } from './distribution.sql.ts';
import { keepIdentitiesOnCoordinator } from './identities.ts';
import { distributedTables } from './layout.ts';
import { selectSetting } from './obstacles.sql.ts';
import { Obstacle, refuseWithoutCluster } from './obstacles.ts';
import { selectOpenRebalance, selectRebalance, selectShares, startRebalance } from './rebalance.sql.ts';

export interface RebalanceOptions {
  readonly say: (line: string) => void;
  readonly pollMs?: number;
}

const pollEveryMs = 1_000;
const openStates = new Set(['scheduled', 'running', 'cancelling', 'failing']);

/**
 * Moves shards to workers that have fewer, such as one that was added. Reads and writes continue. The moves are a job of Citus,
 * which outlives this process: another run follows it.
 * @throws Obstacle with a sentence for the operator.
 */
export async function rebalance(client: pg.Client, { say, pollMs = pollEveryMs }: RebalanceOptions): Promise<void> {
  await refuseWithoutCluster(client);
  for (const { name } of distributedTables) {
    if ((await selectPlacement(client, name))?.kind !== 'distributed') {
      throw new Obstacle(`${name} is not distributed: npm run distribute comes first.`);
    }
  }
  await refuseWithoutReplication(client);
  await keepIdentitiesOnCoordinator(client);
  say(`shards before: ${(await selectShares(client)).join(', ')}`);
  const open = await selectOpenRebalance(client);
  const job = open ?? (await startRebalance(client));
  if (job === undefined) return say('every worker has its share already');
  say(open === undefined ? `began job ${job}` : `job ${job} is under way already`);
  await follow(client, job, say, pollMs);
  say(`shards after: ${(await selectShares(client)).join(', ')}`);
}

/** Shards that are being written to are moved by logical replication. */
async function refuseWithoutReplication(client: pg.Client): Promise<void> {
  for (const { node, value } of await selectSetting(client, 'wal_level')) {
    if (value !== 'logical') throw new Obstacle(`wal_level is ${value} on ${node}, but has to be logical.`);
  }
  for (const name of ['max_replication_slots', 'max_wal_senders']) {
    for (const { node, value } of await selectSetting(client, name)) {
      if (value === '0') throw new Obstacle(`${name} is 0 on ${node}.`);
    }
  }
  for (const { node, value } of await selectSetting(client, 'output_plugin_libraries')) {
    const lacks = ['pgoutput', 'citus', 'citus_pgoutput'].filter(
      (library) => !(value ?? '').split(',').some((one) => one.trim() === library),
    );
    if (value !== null && lacks.length > 0) {
      throw new Obstacle(`output_plugin_libraries on ${node} lacks ${lacks.join(', ')}, by which shards are moved.`);
    }
  }
}

async function follow(client: pg.Client, job: string, say: (line: string) => void, pollMs: number): Promise<void> {
  let reported = -1;
  for (;;) {
    const found = await selectRebalance(client, job);
    if (!found) throw new Obstacle(`Job ${job} is gone.`);
    const { state, moves, moved, message } = found;
    if (moved !== reported) say(`moved ${moved} of ${moves}`);
    reported = moved;
    if (state === 'finished') return;
    if (!openStates.has(state)) {
      throw new Obstacle(`Job ${job} is ${state}${message === null ? '' : `: ${message.trim()}`}. Run this again.`);
    }
    await sleep(pollMs);
  }
}
