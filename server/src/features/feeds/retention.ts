import type { Db } from '../../postgres/database.ts';
import { deleteEndedFollows, deleteOldChanges } from './retention.sql.ts';

const batchRows = 10_000;

/** Deletes the changes that were published more than `days` ago. A cursor that names one of them is a 410 from then on. */
export async function sweepChanges(db: Db, days: number): Promise<void> {
  while ((await deleteOldChanges(db, { days, limit: batchRows })) === batchRows);
  await deleteEndedFollows(db);
}
