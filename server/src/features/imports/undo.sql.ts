import sql, { raw, type Sql } from 'sql-template-tag';
import type { JobRow } from '../../jobs/queue.ts';
import type { Db, Tx } from '../../postgres/database.ts';
import { analyzeGrown } from '../../postgres/maintenance.sql.ts';
import { bigintArray } from '../../postgres/statement.ts';
import { momentSql, selectMoment, stands } from '../memberships/memberships.ts';
import { inPages, tableOf } from './staging.sql.ts';

/** History rows of a job. They are dated within its run, which the index uses. */
function rowsOf({ id, segment_id, created_at, finished_at }: JobRow): Sql {
  return sql`h.job = ${id} AND h.segment_id = ${segment_id} AND h.at BETWEEN ${created_at} AND ${finished_at}`;
}

/** A later change of the same pair. */
function laterThan(userId: Sql, segmentId: Sql, seq: Sql): Sql {
  return sql`EXISTS (
    SELECT 1 FROM history l WHERE l.user_id = ${userId} AND l.segment_id = ${segmentId} AND l.seq > ${seq}
  )`;
}

export async function countChangesOf(db: Db, undone: JobRow): Promise<number> {
  const rows = await db.query<{ count: number }>(sql`SELECT count(*) AS count FROM history h WHERE ${rowsOf(undone)}`);
  return rows[0]?.count ?? 0;
}

/**
 * Plans the state that each user had before the job, in the order of ids, and returns how many there are. Users who were changed or erased
 * since are left out. Overrides that have expired since are not restored.
 */
export async function createUndoPlan(tx: Tx, job: number, undone: JobRow): Promise<number> {
  // An import that has just filled a segment leaves the planner to expect a few rows of it. For each user it would then read the
  // whole segment by the index of history on segments.
  await analyzeGrown(tx, ['history']);
  const plan = tableOf(job, 'plan');
  const at = tx.isDistributed ? momentSql(await selectMoment(tx)) : undefined;
  await tx.query(sql`DROP TABLE IF EXISTS ${plan}`);
  await tx.query(sql`
    CREATE UNLOGGED TABLE ${plan} (
      line bigint NOT NULL, user_id bigint NOT NULL, fresh boolean NOT NULL, op text NOT NULL, expires_at timestamptz, seq bigint NOT NULL
    )`);
  const rows = await tx.write<{ count: number }>(sql`
    WITH planned AS (
      INSERT INTO ${plan} (line, user_id, fresh, op, expires_at, seq)
      SELECT 0, h.user_id, false, CASE WHEN b.stood THEN b.mode ELSE 'clear' END,
        CASE WHEN b.stood THEN b.expires_at END, h.seq
      FROM history h
        JOIN users u ON u.id = h.user_id
        LEFT JOIN LATERAL (
          SELECT p.mode, p.expires_at, p.op IN ('add', 'update') AND ${stands(sql`p`, at)} AS stood
          FROM history p
          WHERE p.user_id = h.user_id AND p.segment_id = h.segment_id AND p.seq < h.seq
          ORDER BY p.seq DESC
          LIMIT 1
        ) b ON true
      WHERE ${rowsOf(undone)} AND NOT ${laterThan(sql`h.user_id`, sql`h.segment_id`, sql`h.seq`)}
      ORDER BY h.user_id
      RETURNING user_id
    )
    SELECT count(*) AS count FROM planned`);
  return rows[0]?.count ?? 0;
}

/** Deletes users from the plan who were changed before the fence was up. Returns how many. */
export async function dropChangedSince(tx: Tx, job: number, segmentId: number): Promise<number> {
  if (tx.isDistributed) return dropChangedOnWorkers(tx, job, segmentId);
  const rows = await tx.write<{ count: number }>(sql`
    WITH dropped AS (
      DELETE FROM ${tableOf(job, 'plan')} p
      WHERE ${laterThan(sql`p.user_id`, sql`${segmentId}::bigint`, sql`p.seq`)}
      RETURNING p.user_id
    )
    SELECT count(*) AS count FROM dropped`);
  return rows[0]?.count ?? 0;
}

async function dropChangedOnWorkers(tx: Tx, job: number, segmentId: number): Promise<number> {
  const rows = await tx.write<{ count: number }>(sql`
    WITH planned AS MATERIALIZED (SELECT p.user_id, p.seq FROM ${tableOf(job, 'plan')} p), later AS MATERIALIZED (
      SELECT DISTINCT l.user_id FROM history l JOIN planned p ON p.user_id = l.user_id
      WHERE l.segment_id = ${segmentId}::bigint AND l.seq > p.seq
    ), dropped AS (
      DELETE FROM ${tableOf(job, 'plan')} p USING later l WHERE l.user_id = p.user_id
      RETURNING p.user_id
    )
    SELECT count(*) AS count FROM dropped`);
  return rows[0]?.count ?? 0;
}

/** A user whom an import of users registered or changed. */
export interface ChangedUser {
  readonly id: number;
  /** Null for users registered by the import. */
  readonly versionBefore: number | null;
  readonly versionAfter: number;
  readonly nameBefore: string | null;
  readonly nameAfter: string | null;
}

/** The values as an array; null if none of them has one. */
function arrayOrNull<Value>(values: readonly (Value | null)[]): readonly (Value | null)[] | null {
  return values.some((value) => value !== null) ? values : null;
}

/** Stores what an import of users changed, for its undo. No user is in two batches of a job. */
export async function insertUserBatch(tx: Tx, job: number, users: readonly ChangedUser[]): Promise<void> {
  if (users.length === 0) return;
  const existed = users.some(({ versionBefore }) => versionBefore !== null);
  await tx.write(sql`
    INSERT INTO import_user_batches (job, user_ids, versions_before, versions_after, names_before, names_after)
    SELECT ${job}::bigint, ${bigintArray(users, ({ id }) => id)}::bigint[],
      ${existed ? bigintArray(users, ({ versionBefore }) => versionBefore) : null}::bigint[],
      ${bigintArray(users, ({ versionAfter }) => versionAfter)}::bigint[],
      ${arrayOrNull(users.map(({ nameBefore }) => nameBefore))}::text[],
      ${arrayOrNull(users.map(({ nameAfter }) => nameAfter))}::text[]`);
}

/** Plans what is to be restored, in the order of ids. To `unnest`, a missing array is one of nulls. */
export async function createUserUndoPlan(tx: Tx, job: number, undone: number): Promise<void> {
  const plan = tableOf(job, 'plan');
  // Utility statements take no parameters.
  const id = raw(String(Math.trunc(undone)));
  await tx.query(sql`DROP TABLE IF EXISTS ${plan}`);
  // Filled as it is created: an INSERT would put short rows into what was left of pages before. Imports of earlier releases stored a row for
  // each user.
  await tx.query(sql`
    CREATE UNLOGGED TABLE ${plan} AS
    SELECT c.user_id, c.version_before, c.version_after, c.name_before, c.name_after
    FROM (
      SELECT e.user_id, e.version_before, e.version_after, e.name_before, e.name_after
      FROM import_user_batches b
        CROSS JOIN LATERAL unnest(b.user_ids, b.versions_before, b.versions_after, b.names_before, b.names_after)
          AS e(user_id, version_before, version_after, name_before, name_after)
      WHERE b.job = ${id}
      UNION ALL
      SELECT c.user_id, c.version_before, c.version_after, c.name_before, c.name_after
      FROM import_user_changes c
      WHERE c.job = ${id}
    ) c
    ORDER BY c.user_id`);
}

/** The input of {@link restoreUsers} of the registry: the whole plan, or some pages of it. */
export function plannedChanges(job: number, pages?: { readonly from: number; readonly to: number }): Sql {
  return sql`
    SELECT p.user_id, p.version_before, p.version_after, p.name_before, p.name_after
    FROM ${tableOf(job, 'plan')} p
    WHERE ${pages ? inPages(pages.from, pages.to) : sql`true`}`;
}

export async function selectChangedUsers(tx: Tx, changes: Sql): Promise<number[]> {
  const rows = await tx.query<{ user_id: number }>(sql`SELECT c.user_id FROM (${changes}) c ORDER BY c.user_id`);
  return rows.map(({ user_id }) => user_id);
}
