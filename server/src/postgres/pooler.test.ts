import { join } from 'node:path';
import { createDatabase, type TestDatabase } from '@kohort/testkit/database.ts';
import { findPgBouncer, type Pooler, startPooler } from '@kohort/testkit/pooler.ts';
import sql from 'sql-template-tag';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { patientConnections } from '../../test/config.ts';
import { ConfigError } from '../config.ts';
import { Database } from './database.ts';
import { migrate } from './migrate.ts';

const command = await findPgBouncer();
const options = { ...patientConnections, maxConnections: 4, statementTimeout: 10_000, onError: () => undefined };

async function failure(work: Promise<unknown>): Promise<unknown> {
  return work.then(() => undefined).catch((error: unknown) => error);
}

describe.skipIf(!command)(`PgBouncer in transaction mode${command ? '' : ' (skipped: it is not installed)'}`, () => {
  let test: TestDatabase;
  let pooler: Pooler;
  let url: string;
  let db: Database;

  beforeAll(async () => {
    test = await createDatabase({ migrated: false });
    // Two connections for all: whatever a transaction leaves behind meets another client.
    pooler = await startPooler({ command: command ?? '', url: test.url, settings: { default_pool_size: 2 } });
    url = pooler.urlOf(test.url);
    db = new Database(options);
    await db.start(url, { isPooled: true });
  });
  afterAll(async () => {
    await db.close();
    await pooler.stop();
    await test.drop();
  });

  it('is refused with a sentence where it was not declared', async () => {
    const undeclared = new Database(options);
    const refused = await failure(undeclared.start(url));
    expect(refused).toBeInstanceOf(ConfigError);
    expect(String(refused)).toMatch(/DIRECT_DATABASE_URL/);
    await undeclared.close();
  });

  it('is refused too where it discards the limits instead', async () => {
    const settings = { ignore_startup_parameters: 'statement_timeout,idle_in_transaction_session_timeout' };
    const silent = await startPooler({ command: command ?? '', url: test.url, settings });
    const undeclared = new Database(options);
    expect(await failure(undeclared.start(silent.urlOf(test.url)))).toBeInstanceOf(ConfigError);
    await undeclared.close();
    await silent.stop();
  });

  it('is refused by migrations, which change nothing', async () => {
    const refused = await failure(migrate(url, join(import.meta.dirname, '../../../schema')));
    expect(refused).toBeInstanceOf(ConfigError);
    expect(String(refused)).toMatch(/DIRECT_DATABASE_URL/);
  });

  it('serves many callers of statements that would be prepared by name', async () => {
    const asked = Array.from({ length: 200 }, (_, i) => i);
    const answers = await Promise.all(
      asked.map((i) => db.query<{ n: number }>({ name: `sum-${i % 3}`, text: 'SELECT $1::int + 1 AS n', values: [i] })),
    );
    expect(answers.map(([row]) => row?.n)).toEqual(asked.map((i) => i + 1));
  });

  it('has a statement that takes too long cancelled at the server', async () => {
    const short = new Database({ ...options, statementTimeout: 100 });
    await short.start(url, { isPooled: true });
    expect(await failure(short.query(sql`SELECT pg_sleep(30)`))).toMatchObject({ code: '57014' });
    expect(await failure(short.write(sql`SELECT pg_sleep(30)`))).toMatchObject({ code: '57014' });
    expect(
      await db.query(
        sql`SELECT FROM pg_stat_activity WHERE datname = current_database() AND query ~ '^SELECT pg_sleep' AND state = 'active'`,
      ),
    ).toEqual([]);
    await short.close();
  });

  it('sets the limits of each transaction, and leaves nothing behind', async () => {
    const limits = sql`SELECT name, setting FROM pg_settings
      WHERE name IN ('statement_timeout', 'idle_in_transaction_session_timeout') ORDER BY name`;
    expect(await db.transaction((tx) => tx.query(limits))).toEqual([
      { name: 'idle_in_transaction_session_timeout', setting: '30000' },
      { name: 'statement_timeout', setting: '10000' },
    ]);
    expect(await db.transaction((tx) => tx.query(limits), { statementTimeout: 77 })).toContainEqual({
      name: 'statement_timeout',
      setting: '77',
    });
    for (let i = 0; i < 8; i++) {
      expect((await db.query<{ setting: string }>(limits)).map(({ setting }) => setting)).toEqual(['0', '0']);
    }
  });

  it('lets a query be streamed, and lines be copied in', async () => {
    await db.write(sql`CREATE TABLE copied (n int)`);
    await db.copyIn('COPY copied (n) FROM STDIN', Buffer.from('1\n2\n3\n'));
    const batches: number[] = [];
    for await (const rows of db.stream<{ n: number }>(sql`SELECT n FROM copied ORDER BY n`, {
      batch: 2,
      statementTimeout: 1_000,
    })) {
      batches.push(rows.length);
    }
    expect(batches).toEqual([2, 1]);
  });
});
