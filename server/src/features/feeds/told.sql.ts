import type { ChangeCause } from '@kohort/contract';
import sql from 'sql-template-tag';
import { advisoryLocks } from '../../postgres/advisory-locks.ts';
import type { Db, Tx } from '../../postgres/database.ts';
import { stands } from '../memberships/memberships.ts';

/** No single event of the user `d.user_id` waits: with one, what is due before it is told by its turn. */
export const isSettled = sql`NOT EXISTS (SELECT FROM feed_events p WHERE NOT p.bulk AND p.user_id = d.user_id)`;

/** What there is to do, as of the snapshot of the transaction. */
export interface TurnState {
  /** False when another instance has the turn. */
  readonly is_ours: boolean;
  readonly revision: number;
  /** In milliseconds since 1970. Not after the snapshot: whatever happened up to then is in it. */
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
  /** Up to which moment its starts and ends have been seen to, in milliseconds since 1970. */
  readonly bounds_seen_to: number;
}

/**
 * The first statement of a turn. Whoever tells changes has this lock until the transaction has ended, so that ids of changes are
 * in the order of commits.
 */
export async function selectTurnState(tx: Tx): Promise<TurnState> {
  const rows = await tx.query<TurnState>(sql`
    SELECT pg_try_advisory_xact_lock(${advisoryLocks.telling}) AS is_ours, d.revision, floor(extract(epoch FROM statement_timestamp()) * 1000)::bigint AS now,
      EXISTS (SELECT FROM feed_events e WHERE NOT e.bulk) AS has_events,
      EXISTS (SELECT FROM feed_events e WHERE e.kind = 'definition') AS has_definitions,
      EXISTS (SELECT FROM feed_events e WHERE e.bulk) AS has_bulk_events,
      EXISTS (SELECT FROM feed_due d WHERE d.due_at <= statement_timestamp() AND ${isSettled}) AS has_due,
      EXISTS (SELECT FROM feed_segments s WHERE s.filled_to < ${lastUserId} AND NOT s.is_forgotten) AS has_unfilled,
      EXISTS (SELECT FROM feed_rechecks) AS has_rechecks,
      EXISTS (SELECT FROM feed_follows w WHERE w.until_id IS NULL AND w.move IS NOT NULL) AS has_moves,
      EXISTS (
        SELECT FROM feed_segments t
        WHERE NOT EXISTS (SELECT FROM feed_follows w WHERE w.segment_id = t.segment_id AND w.until_id IS NULL)
          OR EXISTS (SELECT FROM segments s WHERE s.id = t.segment_id AND s.deleted_at IS NOT NULL)
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
 * Fails, and has the turn tried again, where another one ended after this transaction took its snapshot: a snapshot is older than
 * the lock that is asked for with it.
 */
export async function beginTurn(tx: Tx): Promise<void> {
  await tx.write(sql`UPDATE feed_turns t SET turn = t.turn + 1`);
}

/** What is still to be told. */
export interface Backlog {
  readonly events: number;
  readonly segments: number;
  readonly lag_seconds: number;
}

/** However much it is, it is counted quickly. */
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

/** The segments that a user was told to be in. */
export async function selectToldOf(tx: Db, userId: number): Promise<number[]> {
  const rows = await tx.query<{ segment_id: number }>(sql`
    SELECT m.segment_id FROM feed_members m WHERE m.user_id = ${userId} ORDER BY m.segment_id`);
  return rows.map(({ segment_id }) => segment_id);
}

export interface Pair {
  readonly segmentId: number;
  readonly userId: number;
}

/** Of those pairs that are told at all: whether the user was told to be in. */
export function selectTold(
  tx: Tx,
  pairs: readonly Pair[],
): Promise<{ segment_id: number; user_id: number; is_in: boolean }[]> {
  return tx.query<{ segment_id: number; user_id: number; is_in: boolean }>(sql`
    SELECT p.segment_id, p.user_id, m.user_id IS NOT NULL AS is_in
    FROM unnest(${pairs.map(({ segmentId }) => segmentId)}::bigint[], ${pairs.map(({ userId }) => userId)}::bigint[])
        AS p(segment_id, user_id)
      JOIN feed_segments s ON s.segment_id = p.segment_id AND s.filled_to >= p.user_id
      LEFT JOIN feed_members m ON m.segment_id = p.segment_id AND m.user_id = p.user_id`);
}

export async function insertTold(tx: Tx, pairs: readonly Pair[]): Promise<void> {
  if (pairs.length === 0) return;
  await tx.write(sql`
    INSERT INTO feed_members (segment_id, user_id)
    SELECT * FROM unnest(${pairs.map(({ segmentId }) => segmentId)}::bigint[], ${pairs.map(({ userId }) => userId)}::bigint[])`);
}

export async function deleteTold(tx: Tx, pairs: readonly Pair[]): Promise<void> {
  if (pairs.length === 0) return;
  await tx.write(sql`
    DELETE FROM feed_members m
    USING unnest(${pairs.map(({ segmentId }) => segmentId)}::bigint[], ${pairs.map(({ userId }) => userId)}::bigint[])
      AS p(segment_id, user_id)
    WHERE m.segment_id = p.segment_id AND m.user_id = p.user_id`);
}

/** Those of the pairs whose user is in by the override that stands now. */
export async function selectIncluded(tx: Tx, pairs: readonly Pair[]): Promise<Pair[]> {
  const rows = await tx.query<{ segment_id: number; user_id: number }>(sql`
    SELECT m.segment_id, m.user_id
    FROM unnest(${pairs.map(({ segmentId }) => segmentId)}::bigint[], ${pairs.map(({ userId }) => userId)}::bigint[])
        AS p(segment_id, user_id)
      JOIN memberships m ON m.segment_id = p.segment_id AND m.user_id = p.user_id
    WHERE m.mode = 'include' AND ${stands(sql`m`)}`);
  return rows.map(({ segment_id, user_id }) => ({ segmentId: segment_id, userId: user_id }));
}

/** A change of one member, as it will be told. */
export interface MemberChange extends Pair {
  readonly type: 'entered' | 'left';
  readonly at: Date;
  readonly cause: ChangeCause;
  readonly actor: string;
  /** Undefined: that of the user. */
  readonly externalId?: string | null;
}

/** Ids are drawn in the order of the changes. */
export async function insertChanges(tx: Tx, changes: readonly MemberChange[]): Promise<void> {
  if (changes.length === 0) return;
  const column = <T>(of: (change: MemberChange) => T) => changes.map(of);
  await tx.write(sql`
    INSERT INTO feed_changes (type, segment_id, slug, user_id, external_id, at, cause, actor)
    SELECT c.type, c.segment_id, s.slug, c.user_id, coalesce(c.external_id, u.external_id), c.at, c.cause, c.actor
    FROM unnest(
        ${column(({ type }) => type)}::text[], ${column(({ segmentId }) => segmentId)}::bigint[],
        ${column(({ userId }) => userId)}::bigint[], ${column(({ externalId }) => externalId ?? null)}::text[],
        ${column(({ at }) => at)}::timestamptz[], ${column(({ cause }) => cause)}::text[], ${column(({ actor }) => actor)}::text[]
      ) WITH ORDINALITY AS c(type, segment_id, user_id, external_id, at, cause, actor, ord)
      JOIN segments s ON s.id = c.segment_id
      LEFT JOIN users u ON u.id = c.user_id
    ORDER BY c.ord`);
}

/** A change of a definition, for all who follow the segment. */
export async function insertSegmentChange(
  tx: Tx,
  segmentId: number,
  {
    at,
    actor,
    before,
    after,
  }: {
    readonly at: Date;
    readonly actor: string;
    readonly before: object | null;
    readonly after: object | null;
  },
): Promise<void> {
  await tx.write(sql`
    INSERT INTO feed_changes (type, segment_id, slug, at, cause, actor, before, after)
    SELECT 'segment', s.id, s.slug, ${at}::timestamptz, ${after === null ? 'deletion' : 'definition'}, ${actor},
      ${before && JSON.stringify(before)}::jsonb, ${after && JSON.stringify(after)}::jsonb
    FROM segments s
    WHERE s.id = ${segmentId} AND EXISTS (SELECT FROM feed_segments t WHERE t.segment_id = s.id)`);
}

/** Everybody. */
export const lastUserId = Number.MAX_SAFE_INTEGER;

/** A segment that is not filled yet: how far it is, and who was writing when it began to be followed. */
export interface Unfilled {
  readonly segment_id: number;
  readonly filled_to: number;
  readonly writers: readonly string[] | null;
}

export async function selectUnfilled(tx: Tx): Promise<Unfilled | undefined> {
  const rows = await tx.query<Unfilled>(sql`
    SELECT s.segment_id, s.filled_to, s.writers FROM feed_segments s
    WHERE s.filled_to < ${lastUserId} AND NOT s.is_forgotten
    ORDER BY s.segment_id
    LIMIT 1`);
  return rows[0];
}

/**
 * The transactions that are writing what decides who is in. A statement locks its tables before it takes its snapshot, so
 * whoever may not have seen that a segment is followed is among those who write after that was committed.
 */
export async function selectWriters(tx: Tx): Promise<string[]> {
  const rows = await tx.query<{ virtualtransaction: string }>(sql`
    SELECT DISTINCT l.virtualtransaction
    FROM pg_locks l
    WHERE l.locktype = 'relation' AND l.mode = 'RowExclusiveLock' AND l.pid <> pg_backend_pid()
      AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
      AND l.relation IN ('memberships'::regclass, 'users'::regclass)`);
  return rows.map(({ virtualtransaction }) => virtualtransaction);
}

export async function updateWriters(tx: Tx, segmentId: number, writers: readonly string[]): Promise<void> {
  await tx.write(sql`
    UPDATE feed_segments s SET writers = ${writers}::text[] WHERE s.segment_id = ${segmentId}`);
}

/**
 * Adds the next members of a list to what is told, silently, and answers the last of them; undefined when there were
 * fewer than `limit`. One statement, so one moment: events of these users that were taken before are part of it, and those
 * that come later are told.
 */
export async function fillList(
  tx: Tx,
  segmentId: number,
  { after, limit }: { after: number; limit: number },
): Promise<number | undefined> {
  const rows = await tx.write<{ count: number; last: number | null }>(sql`
    WITH found AS MATERIALIZED (
      SELECT m.user_id, m.mode = 'include' AND ${stands(sql`m`)} AS is_in
      FROM memberships m
      WHERE m.segment_id = ${segmentId} AND m.user_id > ${after}
      ORDER BY m.user_id
      LIMIT ${limit}
    ), stale AS (
      -- Of a time when it was followed before.
      DELETE FROM feed_members t
      WHERE t.segment_id = ${segmentId} AND t.user_id > ${after}
        AND ((SELECT count(*) FROM found) < ${limit} OR t.user_id <= (SELECT max(f.user_id) FROM found f))
        AND NOT EXISTS (SELECT FROM found f WHERE f.user_id = t.user_id AND f.is_in)
    ), filled AS (
      INSERT INTO feed_members (segment_id, user_id) SELECT ${segmentId}, f.user_id FROM found f WHERE f.is_in
      ON CONFLICT ON CONSTRAINT feed_members_pkey DO NOTHING
    )
    SELECT count(*) AS count, max(f.user_id) AS last FROM found f`);
  const { count = 0, last = null } = rows[0] ?? {};
  return count === limit && last !== null ? last : undefined;
}

export async function updateFilled(tx: Tx, segmentId: number, to: number): Promise<void> {
  await tx.write(sql`UPDATE feed_segments s SET filled_to = ${to} WHERE s.segment_id = ${segmentId}`);
}

/** Feeds that have waited for this segment begin now. */
export async function beginFeedsOf(tx: Tx, segmentId: number): Promise<void> {
  await tx.write(sql`
    UPDATE feeds f SET begins_after = (SELECT max(c.id) FROM feed_changes c)
    FROM feed_follows w
    WHERE w.segment_id = ${segmentId} AND w.initial AND w.until_id IS NULL AND f.id = w.feed_id`);
}
