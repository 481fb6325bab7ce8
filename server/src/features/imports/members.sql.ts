import sql, { raw, type Sql } from 'sql-template-tag';
import type { Db, Tx } from '../../postgres/database.ts';
import { StaleRead } from '../../postgres/stale-read.ts';
import { lockUsers, nextUserId, registerAll } from '../users/users.ts';
import { inPages, tableOf } from './staging.sql.ts';

export type ImportMode = 'add' | 'remove' | 'replace';
export type Unknown = 'create' | 'reject' | 'skip';

/**
 * Works out what the file means: one row a user, in order of their ids. The last row about a user decides. Users to be
 * created are given their ids here; unknown ones have none and stand at the end.
 *
 * `op` is what becomes of the user's override: `include`, `exclude`, or `drop` for a member that is taken out. Whoever is
 * taken out is so for good: times count for those who are put in.
 */
export async function createPlan(
  tx: Tx,
  job: number,
  { mode, create, expiresAt }: { mode: ImportMode; create: boolean; expiresAt: string | null },
): Promise<void> {
  await tx.query(sql`DROP TABLE IF EXISTS ${tableOf(job, 'plan')}`);
  // Utility statements take no parameters: the values are read from the job's own row.
  await tx.query(sql`
    SELECT set_config('kohort.expires_at', ${expiresAt ?? ''}, true), set_config('kohort.op', ${mode === 'remove' ? 'drop' : 'include'}, true)`);
  await tx.query(sql`
    CREATE UNLOGGED TABLE ${tableOf(job, 'plan')} AS
    SELECT d.line,
      ${create ? sql`CASE WHEN d.user_id IS NULL AND d.external_id IS NOT NULL THEN ${nextUserId} ELSE d.user_id END` : sql`d.user_id`} AS user_id,
      ${create ? sql`d.user_id IS NULL AND d.external_id IS NOT NULL` : sql`false`} AS fresh,
      CASE WHEN d.user_id IS NULL THEN d.external_id END AS external_id,
      current_setting('kohort.op') AS op,
      ${mode === 'remove' ? sql`NULL::timestamptz` : sql`coalesce(d.expires_at, nullif(current_setting('kohort.expires_at'), '')::timestamptz)`} AS expires_at
    FROM (
      SELECT DISTINCT ON (f.user_id, f.unknown_key, f.unknown_id) f.line, f.user_id, f.external_id, f.expires_at
      FROM (
        SELECT r.line, r.external_id, r.expires_at, coalesce(k.user_id, u.id) AS user_id,
          CASE WHEN k.user_id IS NULL THEN r.external_id END AS unknown_key,
          CASE WHEN u.id IS NULL THEN r.user_id END AS unknown_id
        FROM ${tableOf(job, 'rows')} r
          LEFT JOIN user_keys k ON k.external_id = r.external_id
          LEFT JOIN users u ON u.id = r.user_id
      ) f
      ORDER BY f.user_id, f.unknown_key, f.unknown_id, f.line DESC
    ) d`);
}

/** The first rows about users who do not exist, and will not be created; each row carries their total number. */
export function selectUnknownRows(db: Db, job: number, limit: number): Promise<UnknownRow[]> {
  return db.query<UnknownRow>(sql`
    SELECT count(*) OVER () AS all, r.line, CASE WHEN r.external_id IS NULL THEN 'there is no user ' || r.user_id
      ELSE 'there is no user with this external_id' END AS message
    FROM ${tableOf(job, 'rows')} r
      LEFT JOIN user_keys k ON k.external_id = r.external_id
      LEFT JOIN users u ON u.id = r.user_id
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
 * Whom percentage or condition would let in is put out by an `exclude`: those of the file, or, with `replace`, all others,
 * who have no line then.
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

/** Users of the plan that were erased since it was made. */
export async function hasErased(db: Db, job: number): Promise<boolean> {
  const rows = await db.query(sql`
    SELECT FROM ${tableOf(job, 'plan')} p
    WHERE p.user_id IS NOT NULL AND NOT p.fresh AND NOT EXISTS (SELECT FROM users u WHERE u.id = p.user_id)
    LIMIT 1`);
  return rows.length > 0;
}

/** Keeps the segment from being deleted until the transaction ends; false when it is gone. */
export async function keepSegment(tx: Tx, id: number): Promise<boolean> {
  const rows = await tx.query(sql`SELECT FROM segments s WHERE s.id = ${id} AND s.deleted_at IS NULL FOR KEY SHARE`);
  return rows.length > 0;
}

export async function isSegmentLive(db: Db, id: number): Promise<boolean> {
  const rows = await db.query(sql`SELECT FROM segments s WHERE s.id = ${id} AND s.deleted_at IS NULL`);
  return rows.length > 0;
}

export async function selectNow(tx: Db): Promise<string> {
  // As text: the driver would cut a date into parts that PostgreSQL has to put together again.
  const rows = await tx.query<{ now: string }>(sql`
    SELECT to_char(date_trunc('milliseconds', clock_timestamp()) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS now`);
  if (!rows[0]) throw new Error('the database tells no time');
  return rows[0].now;
}

/** A stretch of the plan. */
export interface Slice {
  readonly job: number;
  readonly pages: { readonly from: number; readonly to: number };
}

export interface Range {
  readonly first: number | null;
  readonly last: number | null;
  /** Users of the file. */
  readonly named: number;
  /** Those of them whose own time has passed while the job waited. */
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

/** `FROM` and the beginning of `WHERE`. */
const slice = ({ job, pages }: Slice): Sql => sql`${tableOf(job, 'plan')} p WHERE ${inPages(pages.from, pages.to)}`;

/**
 * Registers the users of a slice that are to be created. Those that were registered elsewhere since then are moved to the
 * end of the plan, under the ids that they have, and kept locked, because the fence was put up without them.
 * @returns whether there were any.
 */
export async function registerUsersOf(tx: Tx, part: Slice, actor: string): Promise<boolean> {
  const taken = await registerAll(tx, sql`SELECT p.external_id, p.user_id FROM ${slice(part)} AND p.fresh`, {
    cause: 'import',
    actor,
  });
  if (taken === 0) return false;
  const moved = await tx.write<{ user_id: number }>(sql`
    WITH taken AS (
      DELETE FROM ${slice(part)} AND p.fresh AND NOT EXISTS (SELECT FROM users u WHERE u.id = p.user_id)
      RETURNING p.line, p.external_id, p.op, p.expires_at
    )
    INSERT INTO ${tableOf(part.job, 'plan')} (line, user_id, fresh, external_id, op, expires_at)
    SELECT t.line, k.user_id, false, NULL, t.op, t.expires_at
    FROM taken t JOIN user_keys k ON k.external_id = t.external_id
    RETURNING user_id`);
  const ids = moved.map(({ user_id }) => user_id);
  if ((await lockUsers(tx, ids)) < taken) throw new StaleRead('a user was registered and erased');
  return true;
}

/** By the clock that judges expiry. */
export async function isPast(db: Db, time: string): Promise<boolean> {
  const rows = await db.query<{ past: boolean }>(sql`SELECT ${time}::timestamptz <= statement_timestamp() AS past`);
  return rows[0]?.past ?? false;
}
