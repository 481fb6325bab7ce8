import type { ChangeCause } from '@kohort/contract';
import sql from 'sql-template-tag';
import type { Db, Tx } from '../../postgres/database.ts';

/** A followed segment whose users must all be evaluated again, and the progress of that. */
export interface Recheck {
  readonly segment_id: number;
  readonly done_to: number;
  readonly at: Date;
  readonly cause: ChangeCause;
  readonly actor: string;
  readonly writers: readonly string[] | null;
}

export interface NewRecheck {
  readonly at: Date;
  readonly cause: ChangeCause;
  readonly actor: string;
  /** Whether transactions may be running that do not record the events this segment needs now. */
  readonly waits: boolean;
}

/**
 * Restarts a recheck that is running: it would miss the users it has passed. A live segment whose fill has not begun needs none: the
 * fill goes by this change already, and a recheck could publish a later change of a user with the cause of this one.
 */
export async function insertRechecks(
  tx: Tx,
  segmentIds: readonly number[],
  { at, cause, actor, waits }: NewRecheck,
): Promise<void> {
  if (segmentIds.length === 0) return;
  await tx.write(sql`
    INSERT INTO feed_rechecks AS r (segment_id, at, cause, actor, writers)
    SELECT s.segment_id, ${at}::timestamptz, ${cause}, ${actor}, CASE WHEN ${waits} THEN NULL ELSE '{}'::text[] END
    FROM feed_segments s
    WHERE s.segment_id = ANY(${segmentIds}::bigint[])
      AND (s.filled_to > 0 OR EXISTS (SELECT 1 FROM segments d WHERE d.id = s.segment_id AND d.deleted_at IS NOT NULL))
    ON CONFLICT ON CONSTRAINT feed_rechecks_pkey DO UPDATE
    SET done_to = 0, at = excluded.at, cause = excluded.cause, actor = excluded.actor,
      writers = CASE WHEN r.writers = '{}' THEN excluded.writers END`);
  if (!waits) return;
  await tx.write(sql`
    UPDATE feed_segments s SET writers = NULL
    WHERE s.segment_id = ANY(${segmentIds}::bigint[]) AND s.filled_to = 0 AND s.writers IS NOT NULL`);
}

/** The recheck of a filled segment that has waited longest. Those that wait for writers come last. */
export async function selectRecheck(db: Db, filledTo: number): Promise<Recheck | undefined> {
  const rows = await db.query<Recheck>(sql`
    SELECT r.segment_id, r.done_to, r.at, r.cause, r.actor, r.writers
    FROM feed_rechecks r JOIN feed_segments s ON s.segment_id = r.segment_id AND s.filled_to >= ${filledTo}
    ORDER BY r.writers = '{}' DESC NULLS FIRST, r.done_to > 0 DESC, r.at, r.segment_id
    LIMIT 1`);
  return rows[0];
}

export async function updateRecheckWriters(tx: Tx, segmentId: number, writers: readonly string[]): Promise<void> {
  await tx.write(sql`UPDATE feed_rechecks r SET writers = ${writers}::text[] WHERE r.segment_id = ${segmentId}`);
}

export async function advanceRecheck(tx: Tx, segmentId: number, doneTo: number): Promise<void> {
  await tx.write(sql`UPDATE feed_rechecks r SET done_to = ${doneTo} WHERE r.segment_id = ${segmentId}`);
}

export async function endRecheck(tx: Tx, segmentId: number): Promise<void> {
  await tx.write(sql`DELETE FROM feed_rechecks r WHERE r.segment_id = ${segmentId}`);
}

export async function updateBoundsSeen(tx: Tx, segmentIds: readonly number[], to: Date): Promise<void> {
  await tx.write(sql`
    UPDATE feed_segments s SET bounds_seen_to = ${to} WHERE s.segment_id = ANY(${segmentIds}::bigint[])`);
}
