import { createDatabase, type TestDatabase } from '@kohort/testkit/database.ts';
import pg from 'pg';
import sql from 'sql-template-tag';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { patientConnections } from '../../../test/config.ts';
import { Database, type Transactor } from '../../postgres/database.ts';
import { analyzeGrown, type Bloat } from '../../postgres/maintenance.sql.ts';
import { rebuildBloatedIndexes } from '../../postgres/rebuild.ts';
import { selectStates } from './read/explain.sql.ts';
import { selectPairs } from './read/pair.sql.ts';
import { selectLists, selectSubjects } from './read/segments-of-user.sql.ts';
import { applyChanges } from './write/apply.sql.ts';
import { removeEndedOfUser } from './write/ended.sql.ts';
import { selectStanding } from './write/lookups.sql.ts';

/** The tables that grow; everything else has a row for each segment at most. */
const LARGE = ['memberships', 'users', 'user_keys'];
const HEIRS = 20;
const EACH = 100;

const ref = { id: 1 };
const change = { user: ref, slug: 's1', kind: 'include', expiresAt: null, ttl: null, actor: 'user:1' } as const;
const statements: Readonly<Record<string, (db: Transactor) => Promise<unknown>>> = {
  'the segments of users, lists only': (db) => selectLists(db, [{ ref, known: undefined }]),
  'the segments of users': (db) => selectSubjects(db, [{ ref, known: undefined }]),
  'some segments of users, lists only': (db) => selectLists(db, [{ ref, known: undefined }], [1]),
  'some segments of users': (db) => selectSubjects(db, [{ ref, known: undefined }], [1]),
  'the state of users': (db) => selectStates(db, [ref], { attributes: true }),
  'a user and a segment': (db) => selectPairs(db, [{ externalId: 'x', segmentId: 1, needsAttributes: true }]),
  'a user and a plain list': (db) => selectPairs(db, [{ externalId: 'x', segmentId: 1, needsAttributes: false }]),
  'single changes': (db) => applyChanges(db, [change]),
  'single removals': (db) => applyChanges(db, [{ ...change, kind: 'remove' }]),
  'the ended memberships of a user': (db) => removeEndedOfUser(db, 1),
  'the standing memberships of a user': (db) => selectStanding({ ...db, inTransaction: true }, [1]),
};

function never(): never {
  throw new Error('not asked for');
}

/** The text that a function sends, without sending it. */
async function textOf(statement: (db: Transactor) => Promise<unknown>): Promise<string> {
  let text = '';
  const keep = async (sent: { text: string }) => {
    text = sent.text;
    return [];
  };
  await statement({ isDistributed: false, query: keep, rows: keep, write: keep, transaction: never });
  return text;
}

interface Plan {
  readonly 'Node Type': string;
  readonly 'Total Cost': number;
  readonly 'Relation Name'?: string;
  readonly 'Index Cond'?: string;
  readonly 'Index Name'?: string;
  readonly Plans?: readonly Plan[];
}

/**
 * Whether a scan finds the rows of one user. By the index of segments only together with the segment: with the user alone it
 * would be searched once for each segment.
 */
function isLookup({ 'Index Name': index, 'Index Cond': condition = '', 'Relation Name': table }: Plan): boolean {
  if (table !== 'memberships') return condition !== '';
  return condition.includes('(user_id = ') && (index === 'memberships_pkey' || condition.includes('(segment_id = '));
}

/** The scans of large tables that are no lookups. */
function wholeScans(plan: Plan): string[] {
  const { 'Node Type': type, 'Relation Name': table = '' } = plan;
  const own = LARGE.includes(table) && type.endsWith('Scan') && !isLookup(plan) ? [`${type} on ${table}`] : [];
  return [...own, ...(plan.Plans ?? []).flatMap(wholeScans)];
}

/** A connection that keeps the plans of all statements, as those of the service do after a few calls. */
class Session {
  readonly #client: pg.Client;

  private constructor(client: pg.Client) {
    this.#client = client;
  }

  static async open(url: string): Promise<Session> {
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    await client.query('SET plan_cache_mode = force_generic_plan');
    const session = new Session(client);
    let n = 0;
    for (const statement of Object.values(statements))
      await client.query(`PREPARE s${n++} AS ${await textOf(statement)}`);
    return session;
  }

  async #plans(): Promise<[statement: string, Plan][]> {
    const found: [string, Plan][] = [];
    for (const [n, [name, statement]] of Object.entries(statements).entries()) {
      const parameters = new Set((await textOf(statement)).match(/\$\d+/g)).size;
      const { rows } = await this.#client.query<{ 'QUERY PLAN': [{ Plan: Plan }] }>(
        `EXPLAIN (FORMAT JSON) EXECUTE s${n}(${Array(parameters).fill('NULL').join(', ')})`,
      );
      found.push([name, rows[0]?.['QUERY PLAN'][0].Plan ?? never()]);
    }
    return found;
  }

  /** By statement, the tables it reads whole. */
  async wholeScans(): Promise<Record<string, string[]>> {
    const found = (await this.#plans()).map(([name, plan]) => [name, wholeScans(plan)] as const);
    return Object.fromEntries(found.filter(([, scans]) => scans.length > 0));
  }

  /** The statements whose cost comes near that from which PostgreSQL compiles them at each execution, where it has JIT. */
  async compiled(): Promise<string[]> {
    const { rows } = await this.#client.query<{ jit_above_cost: string }>('SHOW jit_above_cost');
    const plans = await this.#plans();
    return plans.filter(([, plan]) => plan['Total Cost'] > Number(rows[0]?.jit_above_cost) / 4).map(([name]) => name);
  }

  close(): Promise<void> {
    return this.#client.end();
  }
}

let database: TestDatabase;
let db: Database;

beforeAll(async () => {
  database = await createDatabase();
  db = new Database({ ...patientConnections, maxConnections: 2, statementTimeout: 60_000, onError: () => undefined });
  await db.start(database.url);
  for (const table of LARGE) await run(`ALTER TABLE ${table} SET (autovacuum_enabled = off)`);
  await run(`INSERT INTO segments (slug, salt, revision, created_at, updated_at)
    SELECT 's' || n, 'x', 1, now(), now() FROM generate_series(1, ${EACH + 1}) n`);
});
afterAll(async () => {
  await db.close();
  await database.drop();
});

async function run(text: string): Promise<void> {
  await db.write({ text, values: [] });
}

async function addUsers(count: number): Promise<void> {
  await db.write(sql`
    WITH added AS (
      INSERT INTO users (external_id) SELECT gen_random_uuid()::text FROM generate_series(1, ${count}::int) RETURNING id, external_id
    )
    INSERT INTO user_keys (external_id, user_id) SELECT a.external_id, a.id FROM added a`);
}

const fill = () =>
  run(`INSERT INTO memberships (user_id, segment_id, mode, since) SELECT u.id, 1, 'include', now() FROM users u
    ON CONFLICT DO NOTHING`);

async function plansOfNewConnection(): Promise<Record<string, string[]>> {
  const session = await Session.open(database.url);
  try {
    expect(await session.compiled()).toEqual([]);
    return await session.wholeScans();
  } finally {
    await session.close();
  }
}

/** In the order of a life: each state follows from the one before. */
describe('the plans of the statements that others wait for look users up by key', () => {
  it('in empty tables without statistics', async () => {
    expect(await plansOfNewConnection()).toEqual({});
  });

  it('when kept from then on, while the tables grow', async () => {
    const session = await Session.open(database.url);
    await session.wholeScans();
    await addUsers(50_000);
    await fill();
    expect(await session.wholeScans()).toEqual({});
    await session.close();
  });

  it('in full tables without statistics, as after a restore', async () => {
    expect(await plansOfNewConnection()).toEqual({});
  });

  it('in full tables with statistics', async () => {
    await run(`ANALYZE ${LARGE.join(', ')}`);
    expect(await plansOfNewConnection()).toEqual({});
  });

  it('with statistics from before a large import, and with those gathered in its transaction', async () => {
    const session = await Session.open(database.url);
    await addUsers(100_000);
    await fill();
    expect(await plansOfNewConnection()).toEqual({});
    await db.transaction((tx) => analyzeGrown(tx, LARGE));
    expect(await session.wholeScans()).toEqual({});
    expect(await plansOfNewConnection()).toEqual({});
    await session.close();
  });

  describe('after a very large segment was purged and a few users hold all that is left', () => {
    beforeAll(async () => {
      await run('DELETE FROM memberships');
      await run('VACUUM memberships');
      await run(`INSERT INTO memberships (user_id, segment_id, mode, since)
        SELECT u.id, s.id, 'include', now() FROM (SELECT id FROM users ORDER BY id LIMIT ${HEIRS}) u, segments s WHERE s.id <= ${EACH}`);
    });

    it.each(['statistics from before', 'fresh statistics'])('with %s', async (state) => {
      if (state === 'fresh statistics') await run('VACUUM ANALYZE memberships');
      expect(await plansOfNewConnection()).toEqual({});
    });

    it('where a plain equality would read the whole table', async () => {
      const [row] = await db.query<{ 'QUERY PLAN': [{ Plan: Plan }] }>({
        text: `EXPLAIN (FORMAT JSON) SELECT m.segment_id FROM memberships m WHERE m.user_id = (SELECT 1)`,
        values: [],
      });
      expect(wholeScans(row?.['QUERY PLAN'][0].Plan ?? never())).toEqual(['Seq Scan on memberships']);
    });
  });
});

describe('indexes that a purge left large', () => {
  const rebuild = (bloat?: Bloat) =>
    rebuildBloatedIndexes({ url: database.url, table: 'memberships', ...(bloat && { bloat }) });
  const bytes = async () => (await db.query<{ n: number }>(sql`SELECT pg_indexes_size('memberships') AS n`))[0]?.n ?? 0;

  it('are rebuilt, with all rows in them', async () => {
    const before = await bytes();
    const rebuilt = await rebuild({ minBytes: 1_000_000, bytesPerRow: 200 });
    expect(rebuilt).toEqual(['memberships_pkey', 'memberships_segment']);
    expect(await bytes()).toBeLessThan(before / 10);
    const counts = await db.query<{ n: number }>(sql`
      SELECT count(*) AS n FROM memberships m WHERE m.user_id IN (SELECT id FROM users ORDER BY id LIMIT ${HEIRS})`);
    expect(counts[0]?.n).toBe(HEIRS * EACH);
  });

  it('are left alone where they are as large as their rows need', async () => {
    expect(await rebuild({ minBytes: 0, bytesPerRow: 200 })).toEqual([]);
  });

  it('are cleared of what a rebuild that was cut off left behind', async () => {
    await run('CREATE INDEX memberships_segment_ccnew ON memberships (segment_id)');
    await run(`UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'memberships_segment_ccnew'::regclass`);
    await rebuild();
    const left = await db.query(sql`SELECT FROM pg_class WHERE relname = 'memberships_segment_ccnew'`);
    expect(left).toEqual([]);
  });
});
