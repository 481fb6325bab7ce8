import { setTimeout as sleep } from 'node:timers/promises';
import type { Db } from '../../../postgres/database.ts';
import { hasMembers, removeMembersOfDeleted } from './ledger.sql.ts';

/** Each batch has to skip the index entries that earlier ones left behind, so few large batches are quickest. */
const batchRows = 20_000;
/** What a deletion can remove at once without delaying its answer. */
const smallSegmentRows = 500;
const retryAfterMs = 100;

/** Removes the members of a deleted segment, in batches, each with a `remove` row dated with the deletion. */
export async function purgeSegment(db: Db, segmentId: number, signal?: AbortSignal): Promise<void> {
  while (await hasMembers(db, segmentId)) {
    while ((await removeMembersOfDeleted(db, segmentId, batchRows)) > 0) signal?.throwIfAborted();
    signal?.throwIfAborted();
    // Rows that others had locked were skipped: the other transaction removes them, or they are free by the next round.
    await sleep(retryAfterMs);
  }
}

/**
 * Removes one batch at once, so that the members of a small segment are gone by the time its deletion is answered. The
 * segment itself is deleted already: if this fails, the job does it.
 */
export async function purgeSmallSegment(db: Db, segmentId: number): Promise<void> {
  await removeMembersOfDeleted(db, segmentId, smallSegmentRows).catch(() => undefined);
}
