import { setTimeout as sleep } from 'node:timers/promises';
import type { Db } from '../../../postgres/database.ts';
import { hasMembers, tidyExpired, tidySegment, tidyUser } from './expiry-and-purge.sql.ts';

// Small enough that a batch holds no row for long, large enough that a million rows take well under a minute.
const BATCH = 5_000;
// Each batch of a purge finds its place among the index entries of those before it: few batches, less of that.
const LARGE_BATCH = 20_000;
// What a deletion can take along without its answer being late.
const SMALL_BATCH = 500;
const RETRY_AFTER = 100;

/** Writes down what has ended for one user, so that their history is complete when it is read. */
export async function completeHistory(db: Db, userId: number): Promise<void> {
  await tidyUser(db, userId);
}

/** Writes down every membership whose time is up, in batches. */
export async function sweepExpired(db: Db): Promise<void> {
  while ((await tidyExpired(db, BATCH)) === BATCH);
}

/** Takes the members of a deleted segment out, in batches, each with a `remove` row dated with the deletion. */
export async function purgeSegment(db: Db, segmentId: number): Promise<void> {
  while (await hasMembers(db, segmentId)) {
    while ((await tidySegment(db, segmentId, LARGE_BATCH)) > 0);
    // What somebody else holds was left out. It is done once they have taken it away, or let it go.
    await sleep(RETRY_AFTER);
  }
}

/**
 * One batch at once, so that a small segment's members have left by the time its deletion is answered. The segment is gone
 * whether or not that works: then it is left to the job.
 */
export async function purgeSome(db: Db, segmentId: number): Promise<void> {
  await tidySegment(db, segmentId, SMALL_BATCH).catch(() => undefined);
}
