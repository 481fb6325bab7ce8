import sql from 'sql-template-tag';
import type { Db } from '../../postgres/database.ts';

/** The moment of a statement, in whole milliseconds since 1970. */
export const momentOfStatement = sql`floor(extract(epoch FROM statement_timestamp()) * 1000)::bigint`;

export async function selectMoment(db: Db): Promise<number> {
  const rows = await db.query<{ now: number }>(sql`SELECT ${momentOfStatement} AS now`);
  if (!rows[0]) throw new Error('the database reports no time');
  return rows[0].now;
}
