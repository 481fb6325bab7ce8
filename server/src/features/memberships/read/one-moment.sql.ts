import sql from 'sql-template-tag';
import type { Db } from '../../../postgres/database.ts';
import { momentOfStatement } from '../moment.sql.ts';

/**
 * Keeps each worker of a distributed database to one snapshot for all statements of this transaction, by keeping to one connection.
 * The workers' snapshots are taken one after another, by the first statement.
 */
export async function keepSnapshots(tx: Db): Promise<void> {
  if (tx.isDistributed) await tx.query(sql`SET LOCAL citus.max_adaptive_executor_pool_size = 1`);
}

/** The next user after an id, and the last of all; null if there is none. */
export async function selectIdsAfter(db: Db, id: number): Promise<{ first: number | null; last: number | null }> {
  const rows = await db.query<{ first: number | null; last: number | null }>(sql`
    SELECT min(u.id) AS first, max(u.id) AS last FROM users u WHERE u.id > ${id}`);
  return rows[0] ?? { first: null, last: null };
}

/** The revision of the definitions in the snapshot of this transaction, and its moment. */
export async function selectRevision(db: Db): Promise<{ revision: number; now: number }> {
  const rows = await db.query<{ revision: number; now: number }>(
    sql`SELECT d.revision, ${momentOfStatement} AS now FROM definitions d`,
  );
  return rows[0] ?? { revision: 0, now: 0 };
}
