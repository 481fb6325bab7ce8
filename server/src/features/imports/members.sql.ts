import sql, { raw, type Sql } from 'sql-template-tag';
import type { Db, Tx } from '../../postgres/database.ts';
import type { JobCounts, JobError } from '../jobs/jobs.ts';
import { Outrun } from './outrun.ts';
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
      ${create ? sql`CASE WHEN d.user_id IS NULL AND d.external_id IS NOT NULL THEN nextval(pg_get_serial_sequence('users', 'id')) ELSE d.user_id END` : sql`d.user_id`} AS user_id,
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

/** Rows whose expiry was over when the file came. */
export function selectPastRows(db: Db, job: number, limit: number): Promise<JobError[]> {
  return db.query<JobError>(sql`
    SELECT r.line, 'expires_at is in the past' AS message
    FROM ${tableOf(job, 'rows')} r JOIN jobs j ON j.id = ${job}
    WHERE r.expires_at <= j.created_at
    ORDER BY r.line
    LIMIT ${limit}`);
}

/** Rows about users who do not exist, and will not be created. */
export function selectUnknownRows(db: Db, job: number, limit: number): Promise<JobError[]> {
  return db.query<JobError>(sql`
    SELECT r.line, CASE WHEN r.external_id IS NULL THEN 'there is no user ' || r.user_id
      ELSE 'there is no user with this external_id' END AS message
    FROM ${tableOf(job, 'rows')} r
      LEFT JOIN user_keys k ON k.external_id = r.external_id
      LEFT JOIN users u ON u.id = r.user_id
      LEFT JOIN ${tableOf(job, 'plan')} p ON p.fresh AND p.external_id = r.external_id
    WHERE k.user_id IS NULL AND u.id IS NULL AND p.external_id IS NULL
    ORDER BY r.line
    LIMIT ${limit}`);
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
  // As text: the driver would cut the time to pieces that PostgreSQL has to put together again.
  const rows = await tx.query<{ now: string }>(sql`
    SELECT to_char(date_trunc('milliseconds', clock_timestamp()) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS now`);
  if (!rows[0]) throw new Error('the database tells no time');
  return rows[0].now;
}

/** A stretch of the plan, the change it belongs to, and the range of ids it is about. */
export interface Slice {
  readonly job: number;
  readonly segmentId: number;
  readonly actor: string;
  readonly now: string;
  readonly pages: { readonly from: number; readonly to: number };
  /** Of the ids in the slice. */
  readonly first: number;
  readonly last: number;
}

export interface Range {
  readonly first: number | null;
  readonly last: number | null;
  /** Users of the file. */
  readonly named: number;
  /** Those of them whose own time has passed while the job waited. */
  readonly lapsed: number;
}

export async function selectRange(db: Db, { job, pages, now }: Pick<Slice, 'job' | 'pages' | 'now'>): Promise<Range> {
  const rows = await db.query<Range>(sql`
    SELECT min(p.user_id) AS first, max(p.user_id) AS last,
      count(p.line) FILTER (WHERE p.user_id IS NOT NULL) AS named,
      count(p.user_id) FILTER (WHERE p.expires_at <= ${now}::timestamptz) AS lapsed
    FROM ${tableOf(job, 'plan')} p
    WHERE ${inPages(pages.from, pages.to)}`);
  return rows[0] ?? { first: null, last: null, named: 0, lapsed: 0 };
}

const slice = ({ job, pages }: Pick<Slice, 'job' | 'pages'>): Sql =>
  sql`${tableOf(job, 'plan')} p WHERE ${inPages(pages.from, pages.to)}`;
/** The others are left to {@link dropLapsed}. */
const lasts = ({ now }: Slice): Sql => sql`(p.expires_at IS NULL OR p.expires_at > ${now}::timestamptz)`;
const mine = ({ segmentId, first, last }: Slice): Sql =>
  sql`m.segment_id = ${segmentId}::bigint AND m.user_id BETWEEN ${first}::bigint AND ${last}::bigint`;

/** The history rows of what a statement changed. */
function recorded(changed: Sql, op: Sql, { segmentId, actor, now, job }: Slice): Sql {
  return sql`
    WITH changed AS (${changed}), told AS (
      INSERT INTO history (user_id, segment_id, op, mode, at, expires_at, actor, job)
      SELECT c.user_id, ${segmentId}::bigint, ${op}, c.mode, ${now}::timestamptz, c.expires_at, ${actor}::text, ${job}::bigint
      FROM changed c
    )
    SELECT count(*) FILTER (WHERE c.mode = 'include') AS include, count(*) FILTER (WHERE c.mode = 'exclude') AS exclude
    FROM changed c`;
}

/** How many overrides of either mode a statement wrote, or took away. */
export interface Changed {
  readonly include: number;
  readonly exclude: number;
}

async function count(db: Db, statement: Sql): Promise<Changed> {
  const rows = await db.query<Changed>(statement);
  return rows[0] ?? { include: 0, exclude: 0 };
}

/** Writes down what is over, so that it is not in the way. Its rows tell when it ended, and that nobody did it. */
export async function expireAll(tx: Tx, segmentId: number, now: string): Promise<void> {
  await tx.write(sql`
    WITH gone AS (
      DELETE FROM memberships m
      WHERE m.segment_id = ${segmentId} AND m.expires_at <= ${now}::timestamptz
      RETURNING m.user_id, m.mode, m.expires_at
    )
    INSERT INTO history (user_id, segment_id, op, mode, at, expires_at, actor)
    SELECT g.user_id, ${segmentId}::bigint, 'expire', g.mode, g.expires_at, g.expires_at, 'system' FROM gone g`);
}

/**
 * Creates the users of a slice that are to be created. Those whom somebody else has registered meanwhile are moved to the end
 * of the plan, under the ids that they have, and kept locked: holds know nothing of them.
 * @returns whether there were any.
 */
export async function createUsersOf(tx: Tx, part: Pick<Slice, 'job' | 'pages'>): Promise<boolean> {
  const rows = await tx.write<{ taken: number }>(sql`
    WITH keyed AS (
      INSERT INTO user_keys (external_id, user_id) SELECT p.external_id, p.user_id FROM ${slice(part)} AND p.fresh
      ON CONFLICT ON CONSTRAINT user_keys_pkey DO NOTHING
      RETURNING external_id, user_id
    ), made AS (
      INSERT INTO users (id, external_id) OVERRIDING SYSTEM VALUE SELECT k.user_id, k.external_id FROM keyed k
      RETURNING id
    )
    SELECT (SELECT count(*) FROM ${slice(part)} AND p.fresh) - count(*) AS taken FROM made`);
  const taken = rows[0]?.taken ?? 0;
  if (taken === 0) return false;
  const plan = tableOf(part.job, 'plan');
  const moved = await tx.write<{ user_id: number }>(sql`
    WITH taken AS (
      DELETE FROM ${slice(part)} AND p.fresh AND NOT EXISTS (SELECT FROM users u WHERE u.id = p.user_id)
      RETURNING p.line, p.external_id, p.op, p.expires_at
    )
    INSERT INTO ${plan} (line, user_id, fresh, external_id, op, expires_at)
    SELECT t.line, k.user_id, false, NULL, t.op, t.expires_at
    FROM taken t JOIN user_keys k ON k.external_id = t.external_id
    RETURNING user_id`);
  const locked = await tx.query(sql`
    SELECT FROM users u WHERE u.id = ANY(${moved.map(({ user_id }) => user_id)}::bigint[]) ORDER BY u.id FOR NO KEY UPDATE`);
  if (locked.length < taken) throw new Outrun('a user was registered and erased');
  return true;
}

const differs = sql`CASE p.op WHEN 'exclude' THEN m.mode <> 'exclude'
  ELSE (m.mode, m.expires_at) IS DISTINCT FROM ('include', p.expires_at) END`;

/** Before {@link addMembers}, whose snapshot sees what this one left. */
export function updateMembers(tx: Tx, part: Slice): Promise<Changed> {
  return count(
    tx,
    recorded(
      sql`
      UPDATE memberships m
      SET mode = p.op, since = CASE WHEN m.mode = p.op THEN m.since ELSE ${part.now}::timestamptz END, expires_at = p.expires_at
      FROM ${slice(part)} AND p.op <> 'drop' AND ${lasts(part)} AND m.user_id = p.user_id AND ${mine(part)} AND ${differs}
      RETURNING m.user_id, m.mode, m.expires_at`,
      sql`'update'`,
      part,
    ),
  );
}

/** Fails with a unique violation when somebody else adds one of them at the same time; the whole import then begins anew. */
export function addMembers(tx: Tx, part: Slice): Promise<Changed> {
  return count(
    tx,
    recorded(
      sql`
      INSERT INTO memberships (user_id, segment_id, mode, since, expires_at)
      SELECT p.user_id, ${part.segmentId}::bigint, p.op, ${part.now}::timestamptz, p.expires_at
      FROM (SELECT p.user_id, p.op, p.expires_at FROM ${slice(part)} AND p.op <> 'drop' AND ${lasts(part)} AND p.user_id IS NOT NULL) p
        LEFT JOIN memberships m ON m.user_id = p.user_id AND ${mine(part)}
      WHERE m.user_id IS NULL
      RETURNING user_id, mode, expires_at`,
      sql`'add'`,
      part,
    ),
  );
}

/**
 * Rows whose own time has passed while the job waited. Applied when they came, each would have become an `include` that is
 * over by now: so whatever override there is ends.
 */
export function dropLapsed(tx: Tx, part: Slice): Promise<Changed> {
  return count(
    tx,
    recorded(
      sql`
      DELETE FROM memberships m
      USING ${slice(part)} AND p.expires_at <= ${part.now}::timestamptz AND m.user_id = p.user_id AND ${mine(part)}
      RETURNING m.user_id, m.mode, m.expires_at`,
      sql`'remove'`,
      part,
    ),
  );
}

export function dropMembers(tx: Tx, part: Slice): Promise<Changed> {
  return count(
    tx,
    recorded(
      sql`
      DELETE FROM memberships m
      USING ${slice(part)} AND p.op = 'drop' AND m.user_id = p.user_id AND m.mode = 'include' AND ${mine(part)}
      RETURNING m.user_id, m.mode, m.expires_at`,
      sql`'remove'`,
      part,
    ),
  );
}

/** Members between two ids, the second not included, whom the plan does not name. */
export function dropOthers(tx: Tx, part: Slice, range: { from: number; to: number | null }): Promise<Changed> {
  return count(
    tx,
    recorded(
      sql`
      DELETE FROM memberships m
      WHERE m.segment_id = ${part.segmentId} AND m.mode = 'include'
        AND m.user_id >= ${range.from}::bigint AND (${range.to}::bigint IS NULL OR m.user_id < ${range.to}::bigint)
        AND NOT EXISTS (SELECT FROM ${slice(part)} AND p.user_id = m.user_id)
      RETURNING m.user_id, m.mode, m.expires_at`,
      sql`'remove'`,
      part,
    ),
  );
}

/** What applying would do now. */
export async function previewPlan(db: Db, job: number, segmentId: number, mode: ImportMode): Promise<JobCounts> {
  const rows = await db.query<JobCounts>(sql`
    SELECT
      count(*) FILTER (WHERE t.outcome = 'added') AS added,
      count(*) FILTER (WHERE t.outcome = 'updated') AS updated,
      count(*) FILTER (WHERE t.outcome = 'removed')
        + CASE WHEN ${mode === 'replace'} THEN (
            SELECT count(*) FROM memberships o
            WHERE o.segment_id = ${segmentId} AND o.mode = 'include' AND (o.expires_at IS NULL OR o.expires_at > statement_timestamp())
              AND NOT EXISTS (SELECT FROM ${tableOf(job, 'plan')} q WHERE q.user_id = o.user_id)
          ) ELSE 0 END AS removed,
      count(t.line) FILTER (WHERE t.outcome IS NULL) AS unchanged
    FROM (
      SELECT p.line, CASE
        WHEN p.expires_at <= statement_timestamp() THEN CASE m.mode WHEN 'include' THEN 'removed' WHEN 'exclude' THEN 'updated' END
        WHEN p.op = 'drop' THEN CASE m.mode WHEN 'include' THEN 'removed' END
        WHEN p.op = 'exclude' THEN CASE WHEN m.mode IS DISTINCT FROM 'exclude' THEN 'removed' END
        WHEN m.user_id IS NULL THEN 'added'
        WHEN ${differs} THEN 'updated'
      END AS outcome
      FROM ${tableOf(job, 'plan')} p
        LEFT JOIN memberships m ON m.segment_id = ${segmentId} AND m.user_id = p.user_id
          AND (m.expires_at IS NULL OR m.expires_at > statement_timestamp())
      WHERE p.user_id IS NOT NULL
    ) t`);
  return rows[0] ?? { added: 0, updated: 0, removed: 0, unchanged: 0 };
}

/** By the clock that judges expiry. */
export async function isPast(db: Db, time: string): Promise<boolean> {
  const rows = await db.query<{ past: boolean }>(sql`SELECT ${time}::timestamptz <= statement_timestamp() AS past`);
  return rows[0]?.past ?? false;
}
