import sql, { type Sql } from 'sql-template-tag';
import type { Db } from '../../../postgres/database.ts';

/**
 * Takes away memberships that are over, their time being up or their segment gone, each with its history row dated with the
 * moment it ended. That changes no answer, since every read ignores such rows; it only writes down what has
 * happened.
 * @returns how many were tidied.
 */
async function tidy(db: Db, over: Sql): Promise<number> {
  const rows = await db.write<{ count: number }>(sql`
    WITH over AS MATERIALIZED (${over}), gone AS (
      DELETE FROM memberships m USING over o
      WHERE m.user_id = o.user_id AND m.segment_id = o.segment_id
      RETURNING m.user_id, m.segment_id, m.mode, m.expires_at, o.deleted_at, o.deleted_by
    ), written AS (
      INSERT INTO history (user_id, segment_id, op, mode, at, expires_at, actor)
      SELECT g.user_id, g.segment_id,
        CASE WHEN e.expired THEN 'expire' ELSE 'remove' END,
        g.mode,
        CASE WHEN e.expired THEN g.expires_at ELSE g.deleted_at END,
        g.expires_at,
        CASE WHEN e.expired THEN 'system' ELSE g.deleted_by END
      FROM gone g
        CROSS JOIN LATERAL (
          SELECT (g.expires_at <= least(statement_timestamp(), g.deleted_at)) IS TRUE
        ) e(expired)
      RETURNING seq
    )
    SELECT count(*) AS count FROM written`);
  return rows[0]?.count ?? 0;
}

const columns = sql`m.user_id, m.segment_id, s.deleted_at, s.deleted_by`;

/**
 * Those of one user, so that their history can be shown complete. Takes the lock of the user first, as every writer of
 * memberships does, and so waits for those under way.
 */
export function tidyUser(db: Db, userId: number): Promise<number> {
  return tidy(
    db,
    sql`
      SELECT ${columns}
      FROM users u JOIN memberships m ON m.user_id = u.id JOIN segments s ON s.id = m.segment_id
      WHERE u.id = ${userId} AND (m.expires_at <= statement_timestamp() OR s.deleted_at IS NOT NULL)
      FOR NO KEY UPDATE OF u FOR UPDATE OF m`,
  );
}

/** The longest expired, at most `limit`; those that somebody is writing to are left for the next time. */
export function tidyExpired(db: Db, limit: number): Promise<number> {
  return tidy(
    db,
    sql`
      SELECT ${columns}
      FROM memberships m JOIN segments s ON s.id = m.segment_id
      WHERE m.expires_at <= statement_timestamp()
      ORDER BY m.expires_at
      LIMIT ${limit}
      FOR UPDATE OF m SKIP LOCKED`,
  );
}

/** Those of a deleted segment, at most `limit`; those that somebody is writing to are left out. */
export function tidySegment(db: Db, segmentId: number, limit: number): Promise<number> {
  return tidy(
    db,
    sql`
      SELECT ${columns}
      FROM memberships m JOIN segments s ON s.id = m.segment_id
      WHERE m.segment_id = ${segmentId} AND s.deleted_at IS NOT NULL
      LIMIT ${limit}
      FOR UPDATE OF m SKIP LOCKED`,
  );
}

export async function hasMembers(db: Db, segmentId: number): Promise<boolean> {
  return (await db.query(sql`SELECT FROM memberships m WHERE m.segment_id = ${segmentId} LIMIT 1`)).length > 0;
}
