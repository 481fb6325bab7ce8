import sql from 'sql-template-tag';
import { advisoryLocks } from '../../postgres/advisory-locks.ts';
import type { Db, Tx } from '../../postgres/database.ts';
import { lastUserId } from './fill.sql.ts';

/** The user `d.user_id` has no single event in the outbox. If they have, that event's turn also handles what is due before it. */
export const isSettled = sql`NOT EXISTS (SELECT 1 FROM feed_events p WHERE NOT p.bulk AND p.user_id = d.user_id)`;

/** The pending work, as of the snapshot of the transaction. */
export interface TurnState {
  /** False when another instance has the turn. */
  readonly is_ours: boolean;
  readonly revision: number;
  /** In milliseconds since 1970. Not after the snapshot, so the snapshot contains everything up to then. */
  readonly now: number;
  readonly has_events: boolean;
  readonly has_definitions: boolean;
  readonly has_bulk_events: boolean;
  readonly has_due: boolean;
  readonly has_unfilled: boolean;
  readonly has_rechecks: boolean;
  readonly has_moves: boolean;
  readonly has_unfollowed: boolean;
  readonly followed: readonly FollowedSegment[];
}

export interface FollowedSegment {
  readonly id: number;
  /** Starts and ends up to this moment have been handled. In milliseconds since 1970. */
  readonly bounds_seen_to: number;
}

/**
 * The first statement of a turn. The publisher holds the lock until its transaction has ended, so that the ids of changes are in
 * the order of commits.
 */
export async function selectTurnState(tx: Tx): Promise<TurnState> {
  const rows = await tx.query<TurnState>(sql`
    SELECT pg_try_advisory_xact_lock(${advisoryLocks.publishing}) AS is_ours, d.revision, floor(extract(epoch FROM statement_timestamp()) * 1000)::bigint AS now,
      EXISTS (SELECT 1 FROM feed_events e WHERE NOT e.bulk) AS has_events,
      EXISTS (SELECT 1 FROM feed_events e WHERE e.kind = 'definition') AS has_definitions,
      EXISTS (SELECT 1 FROM feed_events e WHERE e.bulk) AS has_bulk_events,
      EXISTS (SELECT 1 FROM feed_due d WHERE d.due_at <= statement_timestamp() AND ${isSettled}) AS has_due,
      EXISTS (SELECT 1 FROM feed_segments s WHERE s.filled_to < ${lastUserId} AND NOT s.is_forgotten) AS has_unfilled,
      EXISTS (SELECT 1 FROM feed_rechecks) AS has_rechecks,
      EXISTS (SELECT 1 FROM feed_follows w WHERE w.until_id IS NULL AND w.move IS NOT NULL) AS has_moves,
      EXISTS (
        SELECT 1 FROM feed_segments t
        WHERE NOT EXISTS (SELECT 1 FROM feed_follows w WHERE w.segment_id = t.segment_id AND w.until_id IS NULL)
          OR EXISTS (SELECT 1 FROM segments s WHERE s.id = t.segment_id AND s.deleted_at IS NOT NULL)
      ) AS has_unfollowed,
      (
        SELECT coalesce(json_agg(json_build_object(
          'id', s.segment_id, 'bounds_seen_to', floor(extract(epoch FROM s.bounds_seen_to) * 1000)
        )), '[]')
        FROM feed_segments s
        WHERE NOT s.is_forgotten
      ) AS followed
    FROM definitions d`);
  if (!rows[0]) throw new Error('the definitions row is missing');
  return rows[0];
}

/**
 * Fails, so that the turn is retried, if another turn ended after this transaction took its snapshot: the snapshot is taken before
 * the lock that the same statement asks for.
 */
export async function beginTurn(tx: Tx): Promise<void> {
  await tx.write(sql`UPDATE feed_turns t SET turn = t.turn + 1`);
}

/** What is still to be published. */
export interface Backlog {
  readonly events: number;
  readonly segments: number;
  readonly lag_seconds: number;
}

/** Bounds the cost of counting. */
const countedEvents = 100_000;

export async function selectBacklog(db: Db): Promise<Backlog> {
  const rows = await db.query<Backlog>(sql`
    SELECT p.events,
      coalesce(greatest(extract(epoch FROM statement_timestamp() - p.first), 0), 0)::float8 AS lag_seconds,
      (SELECT count(*) FROM feed_segments s WHERE s.filled_to < ${lastUserId})
        + (SELECT count(*) FROM feed_rechecks)
        + (SELECT count(*) FROM feed_follows w WHERE w.until_id IS NULL AND w.move IS NOT NULL) AS segments
    FROM (
      SELECT count(*) AS events, min(e.at) AS first
      FROM (SELECT f.at FROM feed_events f ORDER BY f.seq LIMIT ${countedEvents}) e
    ) p`);
  return rows[0] ?? { events: 0, segments: 0, lag_seconds: 0 };
}

/**
 * The transactions that workers have prepared. Citus commits on the coordinator first: for a moment, or until a worker is back, a
 * worker does not show what an event on the coordinator is about.
 */
export async function selectPrepared(tx: Tx): Promise<string[]> {
  const rows = await tx.query<{ gids: string }>(sql`
    SELECT w.result AS gids
    FROM run_command_on_workers($$
      SELECT coalesce(string_agg(p.gid, ' '), '') FROM pg_prepared_xacts p
      WHERE p.database = current_database() AND p.gid LIKE 'citus\\_%'
    $$) w
    WHERE w.success AND w.result <> ''`);
  return rows.flatMap(({ gids }) => gids.split(' '));
}
