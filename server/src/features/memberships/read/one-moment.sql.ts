import sql from 'sql-template-tag';
import type { Db } from '../../../postgres/database.ts';

/** The revision of the definitions that is current for the snapshot of this transaction. */
export async function selectRevision(db: Db): Promise<number> {
  const rows = await db.query<{ revision: number }>(sql`SELECT d.revision FROM definitions d`);
  return rows[0]?.revision ?? 0;
}
