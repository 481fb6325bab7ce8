import { createDatabase, type TestDatabase } from '@kohort/testkit/database.ts';
import { connected } from '@kohort/testkit/nodes.ts';
import pg from 'pg';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { rebuildBloatedIndexes } from './rebuild.ts';

let database: TestDatabase;
let client: pg.Client;

beforeEach(async () => {
  database = await createDatabase();
  client = new pg.Client(database.url);
  await client.connect();
});
afterEach(async () => {
  await client.end();
  await database.drop();
});

/** As each shard has it. */
async function onShards(text: string): Promise<string[]> {
  const { rows } = await client.query<{ success: boolean; result: string }>(
    "SELECT success, result FROM run_command_on_shards('memberships', $1)",
    [text],
  );
  expect(rows.map(({ success }) => success)).not.toContain(false);
  return rows.map(({ result }) => result);
}

const users = 20_000;
const kept = 50;

async function purgeLarge(): Promise<void> {
  await client.query(`INSERT INTO users (name) SELECT 'user ' || n FROM generate_series(1, ${users}) n`);
  await client.query(
    `INSERT INTO segments (slug, salt, revision, created_at, updated_at) VALUES ('LARGE', 'salt', 1, now(), now())`,
  );
  await client.query(`INSERT INTO memberships (user_id, segment_id, mode, since)
    SELECT u.id, s.id, 'include', now() FROM users u CROSS JOIN segments s`);
  await client.query(`DELETE FROM memberships WHERE user_id > ${kept}`);
  await client.query('VACUUM memberships');
}

it('rebuilds the indexes of shards that a purge left large, with all rows in them', async () => {
  await purgeLarge();
  const bytes = async () =>
    (await onShards("SELECT pg_indexes_size('%s')")).reduce((sum, shard) => sum + Number(shard), 0);
  const before = await bytes();
  const rebuild = () =>
    rebuildBloatedIndexes({ url: database.url, table: 'memberships', bloat: { minBytes: 500_000, bytesPerRow: 200 } });
  expect(await rebuild()).toEqual(['memberships_pkey', 'memberships_segment']);
  expect(await bytes()).toBeLessThan(before / 2);
  const { rows } = await client.query(
    'SELECT count(*)::int AS n FROM memberships WHERE segment_id = (SELECT min(id) FROM segments)',
  );
  expect(rows).toEqual([{ n: kept }]);
  expect(await rebuild()).toEqual([]);
});

it('removes from a worker what a rebuild that was cut off left behind', async () => {
  const { rows } = await client.query<{ host: string; port: number; shard: string }>(`
    SELECT nodename AS host, nodeport AS port, shard_name AS shard FROM citus_shards
    WHERE table_name = 'memberships'::regclass LIMIT 1`);
  const [{ host, port, shard } = { host: '', port: 0, shard: '' }] = rows;
  const worker = new URL(database.url);
  worker.hostname = host;
  worker.port = String(port);
  const remains = `${shard}_ccnew`;
  await connected(worker.href, async (there) => {
    await there.query('SET citus.enable_manual_changes_to_shards = on');
    await there.query(`CREATE INDEX ${remains} ON ${shard} (segment_id)`);
    await there.query(`UPDATE pg_index SET indisvalid = false WHERE indexrelid = '${remains}'::regclass`);
  });
  await rebuildBloatedIndexes({ url: database.url, table: 'memberships' });
  const left = await connected(worker.href, (there) => there.query(`SELECT to_regclass('${remains}') AS name`));
  expect(left.rows).toEqual([{ name: null }]);
});
