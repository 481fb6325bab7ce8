import sql, { type Sql } from 'sql-template-tag';
import type { Db, Transactor, Tx } from '../../../postgres/database.ts';
import { inForm } from '../../../postgres/forms.ts';
import { overrideEvents } from '../../outbox/outbox.ts';
import { ofUser } from '../of-user.sql.ts';
import {
  purgeOnWorkers,
  removeAllOnWorker,
  removeEndedOfUserOnWorker,
  removeExpiredOnWorkers,
  sweepExpiredOnWorkers,
} from './ended-on-workers.sql.ts';
import { overrideColumns } from './override-rows.sql.ts';

/** Removes all overrides of a user, with history rows. The transaction has locked the user. */
export async function removeAllOfUser(tx: Tx, userId: number, actor: string): Promise<void> {
  if (tx.isDistributed) return removeAllOnWorker(tx, userId, actor);
  await tx.write(sql`
    WITH removed AS (
      DELETE FROM memberships m WHERE ${ofUser(sql`m`, sql`${userId}::bigint`)}
      RETURNING ${overrideColumns}
    )
    INSERT INTO history (user_id, segment_id, op, mode, at, expires_at, actor)
    SELECT r.user_id, r.segment_id, 'remove', r.mode, date_trunc('milliseconds', clock_timestamp()), r.expires_at, ${actor}
    FROM removed r`);
}

/**
 * Deletes memberships that have ended, by their expiry or with their segment, whichever came first. Each gets a history row dated
 * with that moment.
 */
async function removeEnded(db: Db, ended: Sql): Promise<number> {
  const rows = await db.write<{ count: number }>(sql`
    WITH ended AS MATERIALIZED (${ended}), removed AS (
      DELETE FROM memberships m USING ended e
      WHERE m.user_id = e.user_id AND m.segment_id = e.segment_id
      RETURNING ${overrideColumns}, e.deleted_at, e.deleted_by, e.followed
    ), recorded AS (
      INSERT INTO history (user_id, segment_id, op, mode, at, expires_at, actor)
      SELECT r.user_id, r.segment_id,
        CASE WHEN e.expired THEN 'expire' ELSE 'remove' END,
        r.mode,
        CASE WHEN e.expired THEN r.expires_at ELSE r.deleted_at END,
        r.expires_at,
        CASE WHEN e.expired THEN 'system' ELSE r.deleted_by END
      FROM removed r
        CROSS JOIN LATERAL (
          SELECT (r.expires_at <= least(statement_timestamp(), r.deleted_at)) IS TRUE
        ) e(expired)
      RETURNING seq
    ), events AS (
      ${overrideEvents(sql`
        SELECT r.segment_id, r.user_id, NULL AS mode, r.expires_at AS at, 'expiry' AS cause, 'system' AS actor
        FROM removed r
        WHERE r.followed AND r.deleted_at IS NULL`)}
    )
    SELECT count(*) AS count FROM recorded`);
  return rows[0]?.count ?? 0;
}

const endedColumns = sql`m.user_id, m.segment_id, s.deleted_at, s.deleted_by, s.followed`;

/**
 * The memberships of one user that have expired or whose segment is deleted. Locks the user first, like every writer of
 * memberships, and so waits for the others.
 */
export function removeEndedOfUser(db: Transactor, userId: number): Promise<number> {
  const ended = sql`
    SELECT ${endedColumns}
    FROM users u JOIN memberships m ON ${ofUser(sql`m`, sql`u.id`)} JOIN segments s ON s.id = m.segment_id
    WHERE u.id = ${userId} AND (m.expires_at <= statement_timestamp() OR s.deleted_at IS NOT NULL)
    FOR NO KEY UPDATE OF u FOR UPDATE OF m`;
  return inForm(db, {
    single: () => removeEnded(db, ended),
    distributed: () => removeEndedOfUserOnWorker(db, userId),
  });
}

/** The expired memberships of users in one segment. The transaction has locked the users. */
export function removeExpiredOfUsers(tx: Tx, userIds: readonly number[], segmentId: number): Promise<number> {
  if (tx.isDistributed) return removeExpiredOnWorkers(tx, userIds, segmentId);
  return removeEnded(
    tx,
    sql`
      SELECT ${endedColumns}
      FROM memberships m JOIN segments s ON s.id = m.segment_id
      WHERE m.segment_id = ${segmentId} AND m.user_id = ANY(${userIds}::bigint[]) AND m.expires_at <= statement_timestamp()
      FOR UPDATE OF m`,
  );
}

/** At most `limit` memberships that expired first. Locked rows are left for the next run. */
export function removeExpired(db: Transactor, limit: number): Promise<number> {
  const ended = sql`
    SELECT ${endedColumns}
    FROM memberships m JOIN segments s ON s.id = m.segment_id
    WHERE m.expires_at <= statement_timestamp()
    ORDER BY m.expires_at
    LIMIT ${limit}
    FOR UPDATE OF m SKIP LOCKED`;
  return inForm(db, {
    single: () => removeEnded(db, ended),
    distributed: () => sweepExpiredOnWorkers(db, limit),
  });
}

/** At most `limit` memberships of a deleted segment. Locked rows are left for the next run. */
export function removeMembersOfDeleted(db: Transactor, segmentId: number, limit: number): Promise<number> {
  const ended = sql`
    SELECT ${endedColumns}
    FROM memberships m JOIN segments s ON s.id = m.segment_id
    WHERE m.segment_id = ${segmentId} AND s.deleted_at IS NOT NULL
    LIMIT ${limit}
    FOR UPDATE OF m SKIP LOCKED`;
  return inForm(db, {
    single: () => removeEnded(db, ended),
    distributed: () => purgeOnWorkers(db, segmentId, limit),
  });
}

export async function hasMembers(db: Db, segmentId: number): Promise<boolean> {
  const rows = await db.query(sql`SELECT 1 AS one FROM memberships m WHERE m.segment_id = ${segmentId} LIMIT 1`);
  return rows.length > 0;
}
