import { setTimeout as sleep } from 'node:timers/promises';
import type { Transactor } from '../../../postgres/database.ts';
import { hasMembers, removeMembersOfDeleted } from './ended.sql.ts';

/** Each batch has to skip the index entries that earlier ones left behind, so a few large batches are fastest. */
const batchRows = 20_000;
/** The number of members that a deletion can remove without delaying its answer. */
const smallSegmentRows = 500;
const retryAfterMs = 100;

/** Removes the members of a deleted segment, in batches, each with a `remove` row dated with the deletion. */
export async function purgeSegment(db: Transactor, segmentId: number, signal?: AbortSignal): Promise<void> {
  while (await hasMembers(db, segmentId)) {
    while ((await removeMembersOfDeleted(db, segmentId, batchRows)) > 0) signal?.throwIfAborted();
    signal?.throwIfAborted();
    // Locked rows were skipped: either the other transaction removes them, or the next round does.
    await sleep(retryAfterMs);
  }
}

/**
 * Removes one batch at once, so that the members of a small segment are gone before its deletion is answered. The segment itself
 * is deleted already: if this fails, the job does it.
 */
export async function purgeSmallSegment(db: Transactor, segmentId: number): Promise<void> {
  await removeMembersOfDeleted(db, segmentId, smallSegmentRows).catch(() => undefined);
}
