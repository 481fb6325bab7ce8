import sql, { type Sql } from 'sql-template-tag';
import { advisoryLocks } from '../../postgres/advisory-locks.ts';
import type { Db, Tx } from '../../postgres/database.ts';

/** Segment ids start at 1, so 0 can stand for all segments. */
export const everySegment = 0;

export interface Fence {
  readonly job: number;
  readonly segmentId: number;
  /** A query with a column `user_id`, or all users. */
  readonly users: Sql | 'all';
}

/**
 * True for a pair behind a fence. Both arguments are SQL expressions; block -1 and segment 0 stand for all. Usually there is no fence
 * at all, which is asked once per statement; looking for one for each pair would ask for the size of the table every time.
 */
export function isFenced(userId: Sql, segmentId: Sql): Sql {
  return sql`(EXISTS (SELECT 1 FROM fences) AND EXISTS (
    SELECT FROM fences f
    WHERE f.segment_id IN (0, ${segmentId}) AND f.block IN (-1, ${userId} >> 10)
      AND (f.offsets IS NULL OR (${userId} & 1023)::smallint = ANY(f.offsets))
  ))`;
}

function turnOf(segmentId: number): Sql {
  return sql`hashtextextended('kohort import ' || ${segmentId}::bigint, 0)`;
}

/** Waits until no other import is being applied to the segment, and holds the turn until the transaction ends. */
export async function takeTurn(tx: Tx, segmentId: number): Promise<void> {
  await tx.query(sql`SELECT pg_advisory_xact_lock(${turnOf(segmentId)})`);
}

/**
 * Puts a fence up, on another connection than the import's, so that it is visible at once. Block -2 fences off no users: it
 * only shows that the import is running, because the users it creates stay invisible until it commits.
 */
export async function insertFence(db: Db, { job, segmentId, users }: Fence): Promise<void> {
  const blocks =
    users === 'all'
      ? sql`SELECT ${segmentId}::bigint, -1, ${job}::bigint, NULL::smallint[]`
      : sql`
        SELECT ${segmentId}::bigint, u.user_id >> 10, ${job}::bigint, array_agg((u.user_id & 1023)::smallint)
        FROM (${users}) u
        GROUP BY 2`;
  await db.write(sql`
    INSERT INTO fences (segment_id, block, job, offsets)
    ${blocks}
    UNION ALL
    SELECT ${segmentId}::bigint, -2, ${job}::bigint, '{}'
    ON CONFLICT (segment_id, block, job) DO UPDATE SET offsets = excluded.offsets`);
  // Waits for erasures that started before the fence was visible. Later ones see it.
  await db.query(sql`SELECT pg_advisory_xact_lock(${advisoryLocks.erasure}::bigint)`);
}

export async function deleteFence(db: Db, job: number): Promise<void> {
  await db.write(sql`DELETE FROM fences f WHERE f.job = ${job}`);
}

/** Removes the fences of ended jobs, left behind by processes that died. */
export async function deleteFencesOfEndedJobs(db: Db): Promise<void> {
  await db.write(sql`
    DELETE FROM fences f
    WHERE NOT EXISTS (SELECT FROM jobs j WHERE j.id = f.job AND j.finished_at IS NULL)`);
}

/** Removes the fences on a segment if no import has its turn there: the import that put them up died, and will put up new ones. */
export async function deleteAbandonedFences(tx: Tx, segmentId: number): Promise<boolean> {
  const rows = await tx.query<{ free: boolean }>(sql`SELECT pg_try_advisory_xact_lock(${turnOf(segmentId)}) AS free`);
  if (!rows[0]?.free) return false;
  await tx.write(sql`DELETE FROM fences f WHERE f.segment_id = ${segmentId}`);
  return true;
}

/** The segments, or {@link everySegment}, that have a fence. */
export async function selectFencedSegments(db: Db): Promise<number[]> {
  const rows = await db.query<{ segment_id: number }>(sql`SELECT DISTINCT f.segment_id FROM fences f`);
  return rows.map(({ segment_id }) => segment_id);
}

/** Blocks imports from finishing a new fence until the transaction ends, and returns whether the user is behind one already. */
export async function isFencedFromErasure(tx: Tx, userId: number): Promise<boolean> {
  await tx.query(sql`SELECT pg_advisory_xact_lock_shared(${advisoryLocks.erasure}::bigint)`);
  const rows = await tx.query(sql`
    SELECT FROM fences f
    WHERE f.block = -1 OR f.block = ${userId}::bigint >> 10 AND (${userId}::bigint & 1023)::smallint = ANY(f.offsets)
    LIMIT 1`);
  return rows.length > 0;
}
