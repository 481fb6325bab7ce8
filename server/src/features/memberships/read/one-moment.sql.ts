import sql from 'sql-template-tag';
import type { Db } from '../../../postgres/database.ts';
import { momentOfStatement } from '../moment.sql.ts';

/** The revision of the definitions that is current for the snapshot of this transaction, and the moment it asks about. */
export async function selectRevision(db: Db): Promise<{ revision: number; now: number }> {
  const rows = await db.query<{ revision: number; now: number }>(
    sql`SELECT d.revision, ${momentOfStatement} AS now FROM definitions d`,
  );
  return rows[0] ?? { revision: 0, now: 0 };
}
