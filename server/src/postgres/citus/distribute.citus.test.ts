import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fill } from '@kohort/testkit/citus-fill.ts';
import { createDatabase, type TestDatabase } from '@kohort/testkit/database.ts';
import { eventually } from '@kohort/testkit/eventually.ts';
import { countUnfolded } from '@kohort/testkit/fold.ts';
import { runWithin, startChild } from '@kohort/testkit/processes.ts';
import pg from 'pg';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { advisoryLocks } from '../advisory-locks.ts';
import { migrate } from '../migrate.ts';
import { distribute } from './distribute.ts';
import { distributeTables } from './distribute-tables.ts';
import { distributedTables, identities, referenceTables } from './layout.ts';

const schema = join(import.meta.dirname, '../../../../schema');
const newest = Math.max(...(await readdir(schema)).map((file) => Number(/^(\d+)/.exec(file)?.[1] ?? 0)));
const command = join(import.meta.dirname, '../../distribute.ts');
const locks = { lockMs: 50, withinMs: 20_000, pauseMs: 10 };
const names = [...distributedTables.map(({ name }) => name), ...referenceTables, 'segment_versions'];

let test: TestDatabase;
let client: pg.Client;
/** Of the run, which must not be disturbed. */
let own: pg.Client;
let said: string[];

beforeEach(async () => {
  test = await createDatabase({ migrated: false });
  await migrate(test.url, schema);
  client = new pg.Client(test.url);
  await client.connect();
  own = new pg.Client(test.url);
  await own.connect();
  said = [];
});
afterEach(async () => {
  await own.end();
  await client.end();
  await test.drop();
});

const run = () => distribute(own, { newest, say: (line) => void said.push(line), locks, noticeMs: 0 });
const values = async (text: string) =>
  (await client.query({ text, rowMode: 'array' })).rows.map(([value]) => String(value));

async function countAll(): Promise<string[]> {
  const counts = [];
  for (const name of names) counts.push(`${name} ${(await values(`SELECT count(*) FROM ${name}`))[0]}`);
  return counts;
}

async function fillAll(): Promise<string[]> {
  await fill(client);
  await client.query(`
    INSERT INTO segment_versions (segment_id, version, at, actor, action, slug, tags)
    SELECT id, 1, created_at, 'fill', 'create', slug, tags FROM segments`);
  return countAll();
}

async function expectDistributed(counts: readonly string[]): Promise<void> {
  expect(await countAll()).toEqual(counts);
  expect(await countUnfolded(client)).toBe(0);
  const { rows } = await client.query(
    "SELECT table_name::text AS name, citus_table_type AS kind FROM citus_tables WHERE citus_table_type <> 'local' ORDER BY 1",
  );
  expect(rows).toEqual(
    [
      ...distributedTables.map(({ name }) => ({ name, kind: 'distributed' })),
      ...referenceTables.map((name) => ({ name, kind: 'reference' })),
    ].sort((a, b) => (a.name < b.name ? -1 : 1)),
  );
  expect(await values("SELECT convalidated FROM pg_constraint WHERE conname = 'memberships_segment_fkey'")).toEqual([
    'true',
  ]);
  for (const name of [...distributedTables.map((table) => table.name), ...referenceTables]) {
    expect([name, await values(`SELECT pg_relation_size('${name}')`)]).toEqual([name, ['0']]);
  }
  for (const { table, column } of identities) {
    const sequence = `pg_get_serial_sequence('${table}', '${column}')`;
    const behind = await values(
      `SELECT coalesce(max(${column}), 0) >= nextval(${sequence}) OR nextval(${sequence}) > 100000 FROM ${table}`,
    );
    expect([table, behind]).toEqual([table, ['false']]);
    const drawn = await values(`
      SELECT result FROM run_command_on_workers($$SELECT nextval(pg_get_serial_sequence('${table}', '${column}'))$$)`);
    expect(drawn).toEqual(drawn.map(() => expect.stringContaining('reached maximum value')));
  }
}

describe('distributing', () => {
  it('moves an empty installation, and finds nothing to do the second time', async () => {
    const counts = await countAll();
    await run();
    await expectDistributed(counts);
    said = [];
    await run();
    expect(said).toEqual([expect.stringMatching(/^checked: /), 'the tables are distributed already', 'done']);
  });

  it('makes the tables of an empty database first', async () => {
    const empty = await createDatabase({ migrated: false });
    const ended = await runWithin({ args: [command, '--database-url', empty.url] }, 60_000);
    await empty.drop();
    expect([ended.code, ended.stderr]).toEqual([0, '']);
    expect(ended.stdout).toMatch(/^made the tables of schema version \d+\nchecked: [\s\S]*\ndone\n$/);
  });

  it('moves a filled one with every row, its history in order, and its identities in place', async () => {
    const counts = await fillAll();
    await run();
    await expectDistributed(counts);
    expect(said).toContainEqual(expect.stringMatching(/^writes go on; they stood still for \d+\.\d s$/));
  });

  it('completes what was distributed without this command', async () => {
    const counts = await fillAll();
    await distributeTables(client);
    await run();
    await expectDistributed(counts);
  });

  it('can be run again after a kill at any step', async () => {
    const counts = await fillAll();
    for (let line = 1; ; line++) {
      const child = await startChild({ args: [command, '--database-url', test.url] });
      await eventually(() => child.hasEnded() || child.stdout().split('\n').length > line);
      const { code } = await child.kill('SIGKILL');
      await eventually(
        async () =>
          (await values("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'kohort-distribute'"))[0] ===
          '0',
      );
      expect(await countAll()).toEqual(counts);
      expect(await countUnfolded(client)).toBe(0);
      if (code === 0) break;
      expect(line).toBeLessThan(30);
    }
    expect(await runWithin({ args: [command, '--database-url', test.url] }, 60_000)).toMatchObject({
      code: 0,
      stderr: '',
    });
    await expectDistributed(counts);
  }, 300_000);

  it('waits for writers under way, and leaves readers alone until its last moment', async () => {
    const counts = await fillAll();
    const writer = new pg.Client(test.url);
    await writer.connect();
    await writer.query('BEGIN');
    await writer.query("UPDATE users SET name = 'renamed' WHERE id = 1");
    const running = run();
    await eventually(() => said.some((line) => line.startsWith('writes are stopped')));
    expect(await countAll()).toEqual(counts);
    await writer.query('COMMIT');
    await writer.end();
    await running;
    expect(await values('SELECT name FROM users WHERE id = 1')).toEqual(['renamed']);
    await expectDistributed(counts);
  });
});

describe('an obstacle', () => {
  const refused = () =>
    run().then(
      () => 'nothing',
      (error: Error) => error.message,
    );

  it('is a job that is open', async () => {
    await client.query("INSERT INTO jobs (kind, state, options, actor) VALUES ('user_import', 'queued', '{}', 'a')");
    expect(await refused()).toMatch(/^Jobs are open: 1 \(user_import\)/);
    await client.query("UPDATE jobs SET internal = true, kind = 'sweep_auth'");
    expect(await refused()).toBe('nothing');
  });

  it('is another version of the schema', async () => {
    await client.query('UPDATE schema_migrations SET version = version + 1');
    expect(await refused()).toMatch(/^The database is at schema version \d+, but this build has \d+/);
    await client.query('DROP TABLE schema_migrations');
    expect(await refused()).toMatch(/^This database has no tables of Kohort/);
  });

  it('is a cluster without workers, or one that does not know its coordinator', async () => {
    await client.query('SELECT citus_remove_node(nodename, nodeport) FROM pg_dist_node WHERE groupid <> 0');
    expect(await refused()).toMatch(/^Citus has no workers/);
    await client.query('SELECT citus_remove_node(nodename, nodeport) FROM pg_dist_node');
    expect(await refused()).toMatch(/^Citus does not know its coordinator/);
  });

  it('is a table that is distributed in another way', async () => {
    await client.query("SELECT create_distributed_table('user_keys', 'external_id')");
    await client.query("SELECT create_reference_table('history')");
    expect(await refused()).toMatch(/^history is a reference table, but has to be a distributed one by user_id/);
  });

  it('is a run that is under way', async () => {
    const other = new pg.Client(test.url);
    await other.connect();
    await other.query(`SELECT pg_advisory_lock(${advisoryLocks.writing})`);
    expect(await refused()).toBe('Another run is under way on this database.');
    await other.end();
  });

  it('leaves everything as it was, the key of memberships included', async () => {
    const counts = await fillAll();
    const writer = new pg.Client(test.url);
    await writer.connect();
    await writer.query("BEGIN; UPDATE users SET name = 'renamed' WHERE id = 1");
    const waiting = distribute(own, {
      newest,
      say: () => undefined,
      locks: { lockMs: 10, withinMs: 0, pauseMs: 1 },
      noticeMs: 0,
    }).then(
      () => 'nothing',
      (error: Error) => error.message,
    );
    expect(await waiting).toMatch(/^Another session holds a lock on the tables/);
    await writer.query('ROLLBACK');
    await writer.end();
    expect(await countAll()).toEqual(counts);
    expect(await values("SELECT convalidated FROM pg_constraint WHERE conname = 'memberships_segment_fkey'")).toEqual([
      'true',
    ]);
    expect(await values('SELECT count(*) FROM citus_tables')).toEqual(['0']);
  });
});
