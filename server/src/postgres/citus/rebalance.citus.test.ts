import { join } from 'node:path';
import { fill } from '@kohort/testkit/citus-fill.ts';
import { createDatabase, type TestDatabase } from '@kohort/testkit/database.ts';
import { eventually } from '@kohort/testkit/eventually.ts';
import { countUnfolded } from '@kohort/testkit/fold.ts';
import { runWithin, startChild } from '@kohort/testkit/processes.ts';
import pg from 'pg';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { migrate } from '../migrate.ts';
import { distributeTables } from './distribute-tables.ts';

const command = join(import.meta.dirname, '../../rebalance.ts');
let test: TestDatabase;
let client: pg.Client;

beforeEach(async () => {
  test = await createDatabase({ migrated: false });
  await migrate(test.url, join(import.meta.dirname, '../../../../schema'));
  client = new pg.Client(test.url);
  await client.connect();
});
afterEach(async () => {
  await client.end();
  await test.drop();
});

const run = () => runWithin({ args: [command, '--database-url', test.url] }, 120_000);

/** A worker that takes shards from now on, or takes none. */
async function letLastWorkerTake(takes: boolean): Promise<void> {
  await client.query(
    `SELECT citus_set_node_property(nodename, nodeport, 'shouldhaveshards', ${takes})
     FROM pg_dist_node WHERE groupid = (SELECT max(groupid) FROM pg_dist_node)`,
  );
}

async function shares(): Promise<number[]> {
  const { rows } = await client.query<{ shards: number }>(`
    SELECT count(*)::int AS shards FROM pg_dist_placement p JOIN pg_dist_shard s USING (shardid)
    WHERE s.logicalrelid = 'memberships'::regclass GROUP BY p.groupid ORDER BY p.groupid`);
  return rows.map(({ shards }) => shards);
}

it('gives a new worker its share while rows are written, and finds nothing to do the second time', async () => {
  await letLastWorkerTake(false);
  await distributeTables(client);
  await fill(client);
  expect(await shares()).toHaveLength(1);
  await letLastWorkerTake(true);
  let isRunning = true;
  const writer = new pg.Client(test.url);
  await writer.connect();
  const writing = (async () => {
    let written = 0;
    for (; isRunning; written++) await writer.query("UPDATE users SET name = 'n' WHERE id = $1", [1 + (written % 500)]);
    return written;
  })();
  const { code, stdout } = await run();
  isRunning = false;
  expect(await writing).toBeGreaterThan(0);
  await writer.end();
  expect([code, stdout]).toEqual([0, expect.stringMatching(/began job \d+\n(?:moved \d+ of \d+\n)+shards after/)]);
  expect(await shares()).toHaveLength(2);
  expect(await countUnfolded(client)).toBe(0);
  expect(await run()).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/every worker has its share already\n$/),
  });
}, 300_000);

it('follows the moves of a run that was killed', async () => {
  await letLastWorkerTake(false);
  await distributeTables(client);
  await letLastWorkerTake(true);
  const child = await startChild({ args: [command, '--database-url', test.url] });
  await eventually(() => child.hasEnded() || child.stdout().includes('began job'));
  await child.kill('SIGKILL');
  expect(await run()).toMatchObject({ code: 0, stderr: '' });
  expect(await shares()).toHaveLength(2);
}, 300_000);

it('is refused, with a sentence, before the tables are distributed', async () => {
  const { code, stdout, stderr } = await run();
  expect([code, stdout]).toEqual([1, '']);
  expect(stderr).toBe('users is not distributed: npm run distribute comes first. Nothing was changed.\n');
});
