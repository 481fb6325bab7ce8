import type { Db } from '../../../postgres/database.ts';
import { removeEndedOfUser, removeExpired } from './ledger.sql.ts';

/** Small enough that a batch does not hold its rows for long, large enough that a million take well under a minute. */
const batchRows = 5_000;

/** Removes every expired membership, in batches, and returns how many. No answer changes: every read ignores expired rows. */
export async function sweepExpired(db: Db): Promise<number> {
  for (let removed = 0; ; ) {
    const batch = await removeExpired(db, batchRows);
    removed += batch;
    if (batch < batchRows) return removed;
  }
}

/** Records what has ended for one user, so that their history is complete when it is read. */
export async function completeHistory(db: Db, userId: number): Promise<void> {
  await removeEndedOfUser(db, userId);
}

/** Records one batch of what has ended, the oldest first, so that the history of a segment is complete when it is read. */
export async function sweepSome(db: Db): Promise<void> {
  await removeExpired(db, batchRows);
}
