import type { Db } from '../../postgres/database.ts';
import { tidyExpired, tidySegment, tidyUser } from './tidy.sql.ts';

// Small enough that a batch holds no row for long, large enough that a million rows take well under a minute.
const BATCH = 5_000;

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
  while ((await tidySegment(db, segmentId, BATCH)) > 0);
}

/** One batch at once, so that a small segment's members have left by the time its deletion is answered. */
export async function purgeSome(db: Db, segmentId: number): Promise<void> {
  await tidySegment(db, segmentId, BATCH);
}
