import sql, { type Sql } from 'sql-template-tag';

/**
 * The memberships of one user, in a form that PostgreSQL reads by index whatever the state of the table (ADR 45). After a
 * large segment was purged the index is far larger than the rows that are left need, and a plain equality then seems dearer
 * than reading the whole table. The range holds for every id; its bounds are hidden from the planner, which takes it for a
 * strong filter and expects to visit a page or two.
 */
export function ofUser(row: Sql, userId: Sql): Sql {
  const id = sql`${row}.user_id`;
  return sql`${id} = ${userId} AND ${id} BETWEEN (SELECT 1::bigint) AND (SELECT 9007199254740991::bigint)`;
}
