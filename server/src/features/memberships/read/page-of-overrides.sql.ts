import sql, { type Sql } from 'sql-template-tag';
import type { Db } from '../../../postgres/database.ts';

export interface PageOfIds {
  readonly after: number;
  readonly limit: number;
}

/**
 * A page of the memberships `m` that `where` selects, by user id, each with its user. Memberships are paged by their index first.
 * On Citus each worker cuts out a page of its own: a page that was cut out before would be joined with all users on the coordinator.
 */
export function pageOfOverrides(db: Db, where: Sql, { after, limit }: PageOfIds): Sql {
  const columns = sql`m.user_id AS id, u.external_id, u.name, m.mode, m.since, m.expires_at`;
  const withUser = sql`LEFT JOIN users u ON u.id = m.user_id AND u.id > ${after}`;
  if (db.isDistributed) {
    return sql`SELECT ${columns} FROM memberships m ${withUser} WHERE ${where} ORDER BY m.user_id LIMIT ${limit}`;
  }
  return sql`
    SELECT ${columns}
    FROM (
      SELECT m.user_id, m.mode, m.since, m.expires_at
      FROM memberships m
      WHERE ${where}
      ORDER BY m.user_id
      LIMIT ${limit}
    ) m ${withUser}
    ORDER BY m.user_id`;
}
