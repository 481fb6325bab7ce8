import sql, { type Sql } from 'sql-template-tag';

/** An override stands until its expiry. From then on it is as if it were not there, whether or not its row has been removed. */
export function stands(row: Sql, at: Sql = sql`statement_timestamp()`): Sql {
  return sql`(${row}.expires_at IS NULL OR ${row}.expires_at > ${at})`;
}
