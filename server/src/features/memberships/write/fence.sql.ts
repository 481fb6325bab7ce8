import sql, { type Sql } from 'sql-template-tag';
import type { Db } from '../../../postgres/database.ts';
import { tableOf } from '../../imports/staging.sql.ts';

/** Taken, shared, by whoever erases a user; alone, for a moment, by an import that has placed its holds. */
const ERASURES = 7224191400003;

/** Segments have numbers above 0: this stands for all of them. */
export const everySegment = 0;
/** A block of no user: it only says that an import is being applied, which keeps the users it creates to itself until its end. */
const NOBODY = -2;

function turnOf(segmentId: number): Sql {
  return sql`hashtextextended('kohort import ' || ${segmentId}::bigint, 0)`;
}

/** Waits until nobody else applies an import to the segment; ours until the transaction ends. */
export async function takeTurn(tx: Db, segmentId: number): Promise<void> {
  await tx.query(sql`SELECT pg_advisory_xact_lock(${turnOf(segmentId)})`);
}

/** Makes single changes of the users of a plan wait. Committed at once, so on another connection than the turn. */
export async function placeHolds(db: Db, job: number, segmentId: number, { all }: { all: boolean }): Promise<void> {
  await db.write(sql`
    INSERT INTO import_holds (segment_id, block, job, offsets)
    SELECT ${segmentId}::bigint, p.user_id >> 10, ${job}::bigint, array_agg((p.user_id & 1023)::smallint)
    FROM ${tableOf(job, 'plan')} p
    WHERE p.user_id IS NOT NULL AND NOT p.fresh AND NOT ${all}
    GROUP BY 2
    UNION ALL
    SELECT ${segmentId}::bigint, -1, ${job}::bigint, NULL WHERE ${all}
    UNION ALL
    SELECT ${segmentId}::bigint, ${NOBODY}::bigint, ${job}::bigint, '{}'
    ON CONFLICT ON CONSTRAINT import_holds_pkey DO UPDATE SET offsets = excluded.offsets`);
  // Erasures that were under way before the holds could be seen end first; those that begin now see them.
  await db.query(sql`SELECT pg_advisory_xact_lock(${ERASURES}::bigint)`);
}

export async function dropHolds(db: Db, job: number): Promise<void> {
  await db.write(sql`DELETE FROM import_holds h WHERE h.job = ${job}`);
}

/** Drops the holds of jobs that are over, whose process died before it could. */
export async function dropHoldsOfEnded(db: Db): Promise<void> {
  await db.write(sql`
    DELETE FROM import_holds h
    WHERE NOT EXISTS (SELECT FROM jobs j WHERE j.id = h.job AND j.finished_at IS NULL)`);
}

/** Drops the holds on a segment if nobody has the turn at it: their import died, and will place new ones. */
export async function dropStaleHolds(tx: Db, segmentId: number): Promise<boolean> {
  const rows = await tx.query<{ free: boolean }>(sql`SELECT pg_try_advisory_xact_lock(${turnOf(segmentId)}) AS free`);
  if (!rows[0]?.free) return false;
  await tx.write(sql`DELETE FROM import_holds h WHERE h.segment_id = ${segmentId}`);
  return true;
}

/** The segments, or {@link everySegment}, for which anybody is held. */
export async function selectHeldSegments(db: Db): Promise<number[]> {
  const rows = await db.query<{ segment_id: number }>(sql`SELECT DISTINCT h.segment_id FROM import_holds h`);
  return rows.map(({ segment_id }) => segment_id);
}

/** Keeps new imports from beginning to apply until the transaction ends, and tells whether one holds the user already. */
export async function isHeldForErasure(tx: Db, userId: number): Promise<boolean> {
  await tx.query(sql`SELECT pg_advisory_xact_lock_shared(${ERASURES}::bigint)`);
  const rows = await tx.query(sql`
    SELECT FROM import_holds h
    WHERE h.block = -1 OR h.block = ${userId}::bigint >> 10 AND (${userId}::bigint & 1023)::smallint = ANY(h.offsets)
    LIMIT 1`);
  return rows.length > 0;
}
