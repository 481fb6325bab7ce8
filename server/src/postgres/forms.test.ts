import { createDatabase, type TestDatabase } from '@kohort/testkit/database.ts';
import pg from 'pg';
import sql from 'sql-template-tag';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { patientConnections } from '../../test/config.ts';
import { Database } from './database.ts';
import { OtherForm, problemOfDatabase } from './errors.ts';
import { inForm } from './forms.ts';

let test: TestDatabase;
let direct: pg.Client;
let db: Database;

beforeEach(async () => {
  test = await createDatabase();
  direct = new pg.Client(test.url);
  await direct.connect();
  db = new Database({ ...patientConnections, maxConnections: 4, statementTimeout: 10_000, onError: () => undefined });
});
afterEach(async () => {
  await db.close();
  await direct.end();
  await test.drop();
});

/** Puts a table in the place of Citus's own that names the distributed tables. Every statement works as before. */
async function markDistributed(): Promise<void> {
  await direct.query('SET allow_system_table_mods = on');
  await direct.query('CREATE TABLE pg_catalog.pg_dist_partition (logicalrelid regclass, partmethod "char")');
  await direct.query("INSERT INTO pg_catalog.pg_dist_partition VALUES ('memberships', 'h')");
}

const refused = sql`DO $$ BEGIN RAISE EXCEPTION 'not on distributed tables' USING ERRCODE = '0A000'; END $$`;
const forms = {
  single: async () => {
    await db.query(refused);
    return 'single';
  },
  distributed: async () => 'distributed',
};
const failure = (work: Promise<unknown>) => work.then(() => undefined).catch((error: unknown) => error);

describe('what the database is', () => {
  it('is read at start', async () => {
    await db.start(test.url);
    expect(db.isDistributed).toBe(false);
    await markDistributed();
    const late = new Database({
      ...patientConnections,
      maxConnections: 1,
      statementTimeout: 10_000,
      onError: () => undefined,
    });
    await late.start(test.url);
    expect(late.isDistributed).toBe(true);
    expect(await inForm(late, forms)).toBe('distributed');
    await late.close();
  });

  it('is read again when a statement is refused, which is then sent in the other form', async () => {
    await db.start(test.url);
    await markDistributed();
    expect(await inForm(db, forms)).toBe('distributed');
    expect(db.isDistributed).toBe(true);
  });

  it('has a transaction start again as a whole', async () => {
    await db.start(test.url);
    await markDistributed();
    const seen: boolean[] = [];
    const result = await db.transaction(async (tx) => {
      seen.push(tx.isDistributed);
      return inForm(tx, {
        single: async () => {
          await tx.query(refused);
          return 'single';
        },
        distributed: forms.distributed,
      });
    });
    expect([result, seen]).toEqual(['distributed', [false, true]]);
  });

  it('is read again with a new connection', async () => {
    await db.start(test.url);
    await markDistributed();
    await direct.query(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'kohort%'",
    );
    await failure(db.query(sql`SELECT 1`));
    await db.query(sql`SELECT 1`);
    expect(db.isDistributed).toBe(true);
  });
});

describe('a refused statement', () => {
  it('is not sent again to the database that it was made for', async () => {
    await db.start(test.url);
    expect(await failure(inForm(db, forms))).toMatchObject({ code: '0A000' });
    expect(await failure(db.transaction((tx) => tx.query(refused)))).toMatchObject({ code: '0A000' });
  });

  it('that was to be streamed is sent again before its first row', async () => {
    // A lock of the session is what a refused statement can leave behind.
    await direct.query(
      `CREATE FUNCTION refused_once() RETURNS int LANGUAGE plpgsql AS $$ BEGIN
        IF EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711 AND database =
          (SELECT oid FROM pg_database WHERE datname = current_database())) THEN RETURN 1; END IF;
        IF to_regclass('pg_catalog.pg_dist_partition') IS NOT NULL THEN PERFORM pg_advisory_lock(4711); END IF;
        RAISE EXCEPTION 'not on distributed tables' USING ERRCODE = '0A000';
      END $$`,
    );
    await db.start(test.url);
    const streamed = () => {
      const options = { batch: 10, statementTimeout: 10_000 };
      return Array.fromAsync(db.stream<{ n: number }>(sql`SELECT refused_once() AS n`, options));
    };
    expect(await failure(streamed())).toMatchObject({ code: '0A000' });
    await markDistributed();
    expect(await streamed()).toEqual([[{ n: 1 }]]);
    expect(db.isDistributed).toBe(true);
  });

  it('that stands alone answers 503, to be tried again', async () => {
    await db.start(test.url);
    await markDistributed();
    const error = await failure(db.query(refused));
    expect(error).toBeInstanceOf(OtherForm);
    expect(problemOfDatabase(error)).toMatchObject({ status: 503, headers: { 'retry-after': '1' } });
  });
});
