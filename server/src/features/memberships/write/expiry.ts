import type { Transactor } from '../../../postgres/database.ts';
import { removeEndedOfUser, removeExpired } from './ended.sql.ts';

/** Small enough that a batch holds its locks only briefly, large enough that a million rows take well under a minute. */
const batchRows = 5_000;

/** Deletes all expired memberships, in batches. Returns how many. Answers do not change: every read ignores expired rows. */
export async function sweepExpired(db: Transactor): Promise<number> {
  for (let removed = 0; ; ) {
    const batch = await removeExpired(db, batchRows);
    removed += batch;
    if (batch < batchRows) return removed;
  }
}

/** Records what has ended for one user, by expiry or with a deleted segment, so that their history is complete when it is read. */
export async function completeHistory(db: Transactor, userId: number): Promise<void> {
  await removeEndedOfUser(db, userId);
}

/** Records one batch of expiries, oldest first, so that the history of a segment is complete when it is read. */
export async function sweepSome(db: Transactor): Promise<void> {
  await removeExpired(db, batchRows);
}
