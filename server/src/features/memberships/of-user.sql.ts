import sql, { type Sql } from 'sql-template-tag';

/**
 * The memberships of one user, in a form that PostgreSQL always reads by index (ADR 45). After the purge of a large segment the
 * index is far larger than the remaining rows need, and a plain equality then seems more expensive than a scan of the table. The
 * range is true for every id, but its bounds are hidden from the planner, which takes it for a selective filter.
 */
export function ofUser(row: Sql, userId: Sql): Sql {
  const id = sql`${row}.user_id`;
  return sql`${id} = ${userId} AND ${id} BETWEEN (SELECT 1::bigint) AND (SELECT 9007199254740991::bigint)`;
}
