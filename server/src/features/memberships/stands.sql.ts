import sql, { type Sql } from 'sql-template-tag';

/** An override is in force until its expiry. From then on it has no effect, even if its row has not been removed yet. */
export function stands(row: Sql, at: Sql = sql`statement_timestamp()`): Sql {
  return sql`(${row}.expires_at IS NULL OR ${row}.expires_at > ${at})`;
}
