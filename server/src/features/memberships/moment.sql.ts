import sql, { type Sql } from 'sql-template-tag';
import type { Db } from '../../postgres/database.ts';

/** The moment of a statement, in whole milliseconds since 1970. */
export const momentOfStatement = sql`floor(extract(epoch FROM statement_timestamp()) * 1000)::bigint`;

/**
 * A moment that was read before, as SQL. Each node of a distributed database has its own clock, so all of them compare with
 * one moment.
 */
export function momentSql(ms: number): Sql {
  return sql`${new Date(ms)}::timestamptz`;
}

export async function selectMoment(db: Db): Promise<number> {
  const rows = await db.query<{ now: number }>(sql`SELECT ${momentOfStatement} AS now`);
  if (!rows[0]) throw new Error('the database returned no time');
  return rows[0].now;
}
