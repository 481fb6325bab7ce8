import sql, { empty, raw, type Sql } from 'sql-template-tag';
import type { Db, Tx } from '../../postgres/database.ts';
import { StaleRead } from '../../postgres/stale-read.ts';
import { lockUsers, nextUserId, registerAll } from '../users/users.ts';
import { inPages, tableOf } from './staging.sql.ts';

export type ImportMode = 'add' | 'remove' | 'replace';
export type Unknown = 'create' | 'reject' | 'skip';

/** The users of a file for a statement that joins them with its rows. */
interface KnownToRows {
  readonly ctes: Sql;
  /** With external_id and user_id. */
  readonly keys: Sql;
  /** With id. */
  readonly users: Sql;
}

/** Citus joins inside of its workers alone: the rows are sent there, and what was found comes back. */
function knownToRows(db: Db, job: number): KnownToRows {
  if (!db.isDistributed) return { ctes: empty, keys: sql`user_keys`, users: sql`users` };
  const rows = tableOf(job, 'rows');
  const ctes = sql`
    WITH named AS MATERIALIZED (SELECT DISTINCT r.external_id FROM ${rows} r WHERE r.external_id IS NOT NULL),
      numbered AS MATERIALIZED (SELECT DISTINCT r.user_id FROM ${rows} r WHERE r.user_id IS NOT NULL),
      known_keys AS MATERIALIZED (
        SELECT k.external_id, k.user_id FROM user_keys k JOIN named n ON n.external_id = k.external_id
      ), known_users AS MATERIALIZED (SELECT u.id FROM users u JOIN numbered n ON n.user_id = u.id)`;
  return { ctes, keys: sql`known_keys`, users: sql`known_users` };
}

/**
 * Builds the plan from the file: one row per user, in the order of ids. The last row about a user wins. Users to be created get their ids
 * here; unknown ones have none and come last. A row has either an id or an external id; where a file has one of them alone, the
 * other branch does not read its table.
 *
 * `op` is the new override of the user: `include`, `exclude`, or `drop` for a member that is removed. Removals have no expiry:
 * the times of the file apply to includes only.
 */
export async function createPlan(
  tx: Tx,
  job: number,
  { mode, create, expiresAt }: { mode: ImportMode; create: boolean; expiresAt: string | null },
): Promise<void> {
  const { ctes, keys, users } = knownToRows(tx, job);
  await tx.query(sql`DROP TABLE IF EXISTS ${tableOf(job, 'plan')}`);
  // Utility statements take no parameters: the values are settings of the transaction.
  await tx.query(sql`
    SELECT set_config('kohort.expires_at', ${expiresAt ?? ''}, true), set_config('kohort.op', ${mode === 'remove' ? 'drop' : 'include'}, true)`);
  await tx.query(sql`
    CREATE UNLOGGED TABLE ${tableOf(job, 'plan')} AS
    ${ctes}
    SELECT d.line,
      ${create ? sql`CASE WHEN d.user_id IS NULL AND d.external_id IS NOT NULL THEN ${nextUserId} ELSE d.user_id END` : sql`d.user_id`} AS user_id,
      ${create ? sql`d.user_id IS NULL AND d.external_id IS NOT NULL` : sql`false`} AS fresh,
      CASE WHEN d.user_id IS NULL THEN d.external_id END AS external_id,
      current_setting('kohort.op') AS op,
      ${mode === 'remove' ? sql`NULL::timestamptz` : sql`coalesce(d.expires_at, nullif(current_setting('kohort.expires_at'), '')::timestamptz)`} AS expires_at
    FROM (
      SELECT DISTINCT ON (f.user_id, f.unknown_key, f.unknown_id) f.line, f.user_id, f.external_id, f.expires_at
      FROM (
        SELECT r.line, r.external_id, r.expires_at, k.user_id,
          CASE WHEN k.user_id IS NULL THEN r.external_id END AS unknown_key, NULL::bigint AS unknown_id
        FROM ${tableOf(job, 'rows')} r LEFT JOIN ${keys} k ON k.external_id = r.external_id
        WHERE r.external_id IS NOT NULL
        UNION ALL
        SELECT r.line, NULL, r.expires_at, u.id, NULL, CASE WHEN u.id IS NULL THEN r.user_id END
        FROM ${tableOf(job, 'rows')} r LEFT JOIN ${users} u ON u.id = r.user_id
        WHERE r.external_id IS NULL
      ) f
      ORDER BY f.user_id, f.unknown_key, f.unknown_id, f.line DESC
    ) d`);
}

/** The first rows about users who do not exist and will not be created. Each row carries the total. */
export function selectUnknownRows(db: Db, job: number, limit: number): Promise<UnknownRow[]> {
  const { ctes, keys, users } = knownToRows(db, job);
  return db.query<UnknownRow>(sql`
    ${ctes}
    SELECT count(*) OVER () AS all, r.line, CASE WHEN r.external_id IS NULL THEN 'there is no user ' || r.user_id
      ELSE 'there is no user with this external_id' END AS message
    FROM ${tableOf(job, 'rows')} r
      LEFT JOIN ${keys} k ON k.external_id = r.external_id
      LEFT JOIN ${users} u ON u.id = r.user_id
      LEFT JOIN ${tableOf(job, 'plan')} p ON p.fresh AND p.external_id = r.external_id
    WHERE k.user_id IS NULL AND u.id IS NULL AND p.external_id IS NULL
    ORDER BY r.line
    LIMIT ${limit}`);
}

export interface UnknownRow {
  readonly line: number;
  readonly message: string;
  readonly all: number;
}

export async function hasUnknown(db: Db, job: number): Promise<boolean> {
  const rows = await db.query(sql`SELECT FROM ${tableOf(job, 'plan')} p WHERE p.user_id IS NULL LIMIT 1`);
  return rows.length > 0;
}

export async function createRule(db: Db, job: number): Promise<void> {
  await db.query(sql`DROP TABLE IF EXISTS ${tableOf(job, 'rule')}`);
  await db.query(sql`CREATE UNLOGGED TABLE ${tableOf(job, 'rule')} (user_id bigint NOT NULL)`);
}

export async function insertRule(db: Db, job: number, ids: readonly number[]): Promise<void> {
  if (ids.length > 0)
    await db.write(sql`INSERT INTO ${tableOf(job, 'rule')} (user_id) SELECT unnest(${ids}::bigint[])`);
}

/**
 * Excludes users whom the percentage or condition would let in: those of the file, or, with `replace`, all others, which then
 * have no line.
 */
export async function settleRule(tx: Tx, job: number, mode: 'remove' | 'replace'): Promise<void> {
  const before = tableOf(job, 'before');
  await tx.query(sql`DROP TABLE IF EXISTS ${before}`);
  await tx.query(sql`ALTER TABLE ${tableOf(job, 'plan')} RENAME TO ${raw(`before_${Math.trunc(job)}`)}`);
  await tx.query(sql`
    CREATE UNLOGGED TABLE ${tableOf(job, 'plan')} AS
    SELECT t.line, t.user_id, t.fresh, t.external_id, t.op, t.expires_at
    FROM (
      SELECT p.line, p.user_id, p.fresh, p.external_id, p.expires_at,
        ${mode === 'remove' ? sql`CASE WHEN r.user_id IS NULL THEN p.op ELSE 'exclude' END` : sql`p.op`} AS op
      FROM ${before} p LEFT JOIN ${tableOf(job, 'rule')} r ON r.user_id = p.user_id
      ${
        mode === 'replace'
          ? sql`
      UNION ALL
      SELECT NULL::bigint, r.user_id, false, NULL::text, NULL::timestamptz, 'exclude'
      FROM ${tableOf(job, 'rule')} r
      WHERE NOT EXISTS (SELECT FROM ${before} p WHERE p.user_id = r.user_id)`
          : sql``
      }
    ) t
    ORDER BY t.user_id`);
  await tx.query(sql`DROP TABLE ${before}`);
}

/** Users of the plan that were erased after it was made. */
export async function hasErased(db: Db, job: number): Promise<boolean> {
  if (db.isDistributed) return hasErasedOnWorkers(db, job);
  const rows = await db.query(sql`
    SELECT FROM ${tableOf(job, 'plan')} p
    WHERE p.user_id IS NOT NULL AND NOT p.fresh AND NOT EXISTS (SELECT FROM users u WHERE u.id = p.user_id)
    LIMIT 1`);
  return rows.length > 0;
}

async function hasErasedOnWorkers(db: Db, job: number): Promise<boolean> {
  const rows = await db.query<{ erased: boolean }>(sql`
    WITH planned AS MATERIALIZED (
      SELECT p.user_id FROM ${tableOf(job, 'plan')} p WHERE p.user_id IS NOT NULL AND NOT p.fresh
    )
    SELECT (SELECT count(*) FROM planned) > (SELECT count(*) FROM users u JOIN planned p ON p.user_id = u.id) AS erased`);
  return rows[0]?.erased ?? false;
}

/** Locks the segment against deletion until the transaction ends. False if it is gone. */
export async function keepSegment(tx: Tx, id: number): Promise<boolean> {
  // There a deletion takes the turn of imports, which this transaction has: the lock would be one on the whole table.
  if (tx.isDistributed) return isSegmentLive(tx, id);
  const rows = await tx.query(sql`SELECT FROM segments s WHERE s.id = ${id} AND s.deleted_at IS NULL FOR KEY SHARE`);
  return rows.length > 0;
}

export async function isSegmentLive(db: Db, id: number): Promise<boolean> {
  const rows = await db.query(sql`SELECT FROM segments s WHERE s.id = ${id} AND s.deleted_at IS NULL`);
  return rows.length > 0;
}

export async function selectNow(tx: Db): Promise<string> {
  // As text: it is only a parameter of later statements, so a Date would be parsed and formatted for nothing.
  const rows = await tx.query<{ now: string }>(sql`
    SELECT to_char(date_trunc('milliseconds', clock_timestamp()) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS now`);
  if (!rows[0]) throw new Error('the database returned no time');
  return rows[0].now;
}

/** A slice of the plan. */
export interface Slice {
  readonly job: number;
  readonly pages: { readonly from: number; readonly to: number };
}

export interface Range {
  readonly first: number | null;
  readonly last: number | null;
  /** Users of the file. */
  readonly named: number;
  /** Those of them whose expiry passed while the job waited. */
  readonly lapsed: number;
}

export async function selectRange(db: Db, { job, pages }: Slice, now: string): Promise<Range> {
  const rows = await db.query<Range>(sql`
    SELECT min(p.user_id) AS first, max(p.user_id) AS last,
      count(p.line) FILTER (WHERE p.user_id IS NOT NULL) AS named,
      count(p.user_id) FILTER (WHERE p.expires_at <= ${now}::timestamptz) AS lapsed
    FROM ${tableOf(job, 'plan')} p
    WHERE ${inPages(pages.from, pages.to)}`);
  return rows[0] ?? { first: null, last: null, named: 0, lapsed: 0 };
}

/** `FROM` and the start of `WHERE` for a slice. */
const slice = ({ job, pages }: Slice): Sql => sql`${tableOf(job, 'plan')} p WHERE ${inPages(pages.from, pages.to)}`;

/**
 * Registers the new users of a slice. Those that were registered elsewhere meanwhile are moved to the end of the plan, under
 * their existing ids, and kept locked, because the fence does not cover them.
 * @returns whether there were any.
 */
export async function registerUsersOf(tx: Tx, part: Slice, actor: string): Promise<boolean> {
  const taken = await registerAll(tx, sql`SELECT p.external_id, p.user_id FROM ${slice(part)} AND p.fresh`, {
    cause: 'import',
    actor,
  });
  if (taken === 0) return false;
  const ids = await (tx.isDistributed ? moveTakenOnWorkers(tx, part) : moveTaken(tx, part));
  if ((await lockUsers(tx, ids)) < taken) throw new StaleRead('a user was registered and erased');
  return true;
}

async function moveTaken(tx: Tx, part: Slice): Promise<number[]> {
  const moved = await tx.write<{ user_id: number }>(sql`
    WITH taken AS (
      DELETE FROM ${slice(part)} AND p.fresh AND NOT EXISTS (SELECT 1 FROM users u WHERE u.id = p.user_id)
      RETURNING p.line, p.external_id, p.op, p.expires_at
    )
    INSERT INTO ${tableOf(part.job, 'plan')} (line, user_id, fresh, external_id, op, expires_at)
    SELECT t.line, k.user_id, false, NULL, t.op, t.expires_at
    FROM taken t JOIN user_keys k ON k.external_id = t.external_id
    RETURNING user_id`);
  return moved.map(({ user_id }) => user_id);
}

/** The same in two statements: Citus deletes by pages nothing that is named by a statement of its own. */
async function moveTakenOnWorkers(tx: Tx, part: Slice): Promise<number[]> {
  const found = await tx.query<{ external_id: string; user_id: number }>(sql`
    WITH asked AS MATERIALIZED (SELECT p.external_id, p.user_id FROM ${slice(part)} AND p.fresh)
    SELECT k.external_id, k.user_id FROM user_keys k JOIN asked a ON a.external_id = k.external_id
    WHERE k.user_id <> a.user_id`);
  const [externalIds, ids] = [found.map(({ external_id }) => external_id), found.map(({ user_id }) => user_id)];
  await tx.write(sql`
    WITH taken AS (
      DELETE FROM ${tableOf(part.job, 'plan')} p
      USING unnest(${externalIds}::text[], ${ids}::bigint[]) f(external_id, user_id)
      WHERE ${inPages(part.pages.from, part.pages.to)} AND p.fresh AND p.external_id = f.external_id
      RETURNING p.line, f.user_id, p.op, p.expires_at
    )
    INSERT INTO ${tableOf(part.job, 'plan')} (line, user_id, fresh, external_id, op, expires_at)
    SELECT t.line, t.user_id, false, NULL, t.op, t.expires_at FROM taken t`);
  return ids;
}

/** Reads the clock that decides expiry. */
export async function isPast(db: Db, time: string): Promise<boolean> {
  const rows = await db.query<{ past: boolean }>(sql`SELECT ${time}::timestamptz <= statement_timestamp() AS past`);
  return rows[0]?.past ?? false;
}
