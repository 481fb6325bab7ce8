import sql from 'sql-template-tag';
import type { Tx } from '../../postgres/database.ts';
import { lastUserId } from './fill.sql.ts';
import { externalIdsOf } from './published.sql.ts';

/** A feed that starts or stops following a segment. */
export interface Move {
  readonly feed_id: number;
  readonly segment_id: number;
  readonly after_id: number;
  readonly move: 'joining' | 'leaving';
  readonly moved_to: number;
  readonly moved_from: number;
  readonly moved_at: Date;
  readonly moved_by: string;
}

export interface MoveBy {
  readonly at: Date;
  readonly actor: string;
}

/** The current time of the database, in milliseconds. */
export async function selectMoment(tx: Tx): Promise<Date> {
  const rows = await tx.query<{ now: Date }>(sql`SELECT date_trunc('milliseconds', statement_timestamp()) AS now`);
  if (!rows[0]) throw new Error('the database returned no time');
  return rows[0].now;
}

const lastChange = sql`(SELECT max(c.id) FROM feed_changes c)`;

/** Feeds by tags that should follow a live segment, since it carries one of their tags, and do not. */
export async function selectFeedsToJoin(tx: Tx, segmentId: number): Promise<number[]> {
  const rows = await tx.query<{ id: number }>(sql`
    SELECT f.id
    FROM segments s JOIN feeds f ON f.tags && s.tags
    WHERE s.id = ${segmentId} AND s.deleted_at IS NULL
      AND NOT EXISTS (
        SELECT 1 FROM feed_follows w
        WHERE w.feed_id = f.id AND w.segment_id = s.id AND w.until_id IS NULL AND w.move IS DISTINCT FROM 'leaving'
      )
    ORDER BY f.id`);
  return rows.map(({ id }) => id);
}

/** Feeds by tags that follow a segment although it carries none of their tags now. */
export async function selectFeedsToLeave(tx: Tx, segmentId: number): Promise<number[]> {
  const rows = await tx.query<{ id: number }>(sql`
    SELECT f.id
    FROM segments s
      JOIN feed_follows w ON w.segment_id = s.id AND w.until_id IS NULL AND w.move IS DISTINCT FROM 'leaving'
      JOIN feeds f ON f.id = w.feed_id AND NOT f.tags && s.tags
    WHERE s.id = ${segmentId} AND s.deleted_at IS NULL
    ORDER BY f.id`);
  return rows.map(({ id }) => id);
}

/** Starts to publish the members of segments to a feed as entered. */
export async function beginJoining(
  tx: Tx,
  feedId: number,
  segmentIds: readonly number[],
  { at, actor }: MoveBy,
): Promise<void> {
  await tx.write(sql`
    INSERT INTO feed_follows AS w (feed_id, segment_id, after_id, initial, move, moved_from, moved_at, moved_by)
    SELECT ${feedId}, s.id, l.id, false, 'joining', l.id, ${at}, ${actor}
    FROM unnest(${segmentIds}::bigint[]) AS s(id), (SELECT ${lastChange} AS id) l
    ON CONFLICT (segment_id, feed_id) WHERE until_id IS NULL DO UPDATE
    SET move = 'joining', moved_to = 0, moved_from = excluded.moved_from, moved_at = excluded.moved_at, moved_by = excluded.moved_by`);
}

/** Starts to publish the members of segments to a feed as left. */
export async function beginLeaving(
  tx: Tx,
  feedId: number,
  segmentIds: readonly number[],
  { at, actor }: MoveBy,
): Promise<void> {
  await tx.write(sql`
    UPDATE feed_follows w
    SET move = 'leaving', moved_to = 0, moved_from = ${lastChange}, moved_at = ${at}, moved_by = ${actor}
    WHERE w.feed_id = ${feedId} AND w.segment_id = ANY(${segmentIds}::bigint[]) AND w.until_id IS NULL`);
}

/** The next move that can proceed: a feed can join a segment only once it is filled. */
export async function selectMove(tx: Tx): Promise<Move | undefined> {
  const rows = await tx.query<Move>(sql`
    SELECT w.feed_id, w.segment_id, w.after_id, w.move, w.moved_to, w.moved_from, w.moved_at, w.moved_by
    FROM feed_follows w JOIN feed_segments t ON t.segment_id = w.segment_id
    WHERE w.until_id IS NULL AND w.move IS NOT NULL AND (w.move = 'leaving' OR t.filled_to >= ${lastUserId})
    ORDER BY w.feed_id, w.segment_id
    LIMIT 1`);
  return rows[0];
}

const ofMove = ({ feed_id, segment_id, after_id }: Move) =>
  sql`w.feed_id = ${feed_id} AND w.segment_id = ${segment_id} AND w.after_id = ${after_id}`;

/**
 * Publishes the next members to one feed as entered or left. Returns how many, and the last of them; undefined at the end. Users
 * who entered meanwhile were published to every follower: they do not enter again, but do leave at the end.
 */
export async function publishMove(
  tx: Tx,
  move: Move,
  limit: number,
): Promise<{ readonly published: number; readonly last: number | undefined }> {
  const { feed_id, segment_id, moved_to, moved_from, moved_at, moved_by } = move;
  const isJoining = move.move === 'joining';
  const entered = sql`
    SELECT c.user_id FROM feed_changes c
    WHERE c.id > ${moved_from} AND c.segment_id = ${segment_id} AND c.feed_id IS NULL AND c.type = 'entered'`;
  const moving = isJoining
    ? sql`SELECT n.user_id FROM next n WHERE n.user_id NOT IN (${entered})`
    : sql`
      SELECT n.user_id FROM next n
      UNION
      SELECT m.user_id FROM feed_members m
      WHERE (SELECT count(*) FROM next) < ${limit} AND m.segment_id = ${segment_id} AND m.user_id <= ${moved_to}
        AND m.user_id IN (${entered})`;
  const rows = await tx.query<{ count: number; moving: number[]; last: number | null }>(sql`
    WITH next AS MATERIALIZED (
      SELECT m.user_id FROM feed_members m
      WHERE m.segment_id = ${segment_id} AND m.user_id > ${moved_to}
      ORDER BY m.user_id
      LIMIT ${limit}
    )
    SELECT count(*) AS count, coalesce((SELECT json_agg(g.user_id) FROM (${moving}) g), '[]') AS moving, max(n.user_id) AS last FROM next n`);
  const { count = 0, moving: userIds = [], last = null } = rows[0] ?? {};
  await tx.write(sql`
    INSERT INTO feed_changes (type, feed_id, segment_id, slug, user_id, external_id, at, cause, actor)
    SELECT ${isJoining ? 'entered' : 'left'}, ${feed_id}::bigint, s.id, s.slug, g.user_id, u.external_id, ${moved_at}::timestamptz,
      'definition', ${moved_by}
    FROM unnest(${userIds}::bigint[]) AS g(user_id)
      JOIN segments s ON s.id = ${segment_id}
      LEFT JOIN ${externalIdsOf(userIds)} u ON u.id = g.user_id
    ORDER BY g.user_id`);
  return { published: userIds.length, last: count === limit && last !== null ? last : undefined };
}

export async function advanceMove(tx: Tx, move: Move, to: number): Promise<void> {
  await tx.write(sql`UPDATE feed_follows w SET moved_to = ${to} WHERE ${ofMove(move)}`);
}

/** Ends a join or a leave. A feed that leaves follows up to the last change; if no change came since it joined, its follow is deleted. */
export async function endMove(tx: Tx, move: Move): Promise<void> {
  await tx.write(sql`
    DELETE FROM feed_follows w WHERE ${ofMove(move)} AND w.move = 'leaving' AND w.after_id = ${lastChange}`);
  await tx.write(sql`
    UPDATE feed_follows w
    SET move = NULL, until_id = CASE WHEN w.move = 'leaving' THEN ${lastChange} END
    WHERE ${ofMove(move)}`);
}

/** Ends all follows of a segment at the last change. */
export async function endFollows(tx: Tx, segmentId: number): Promise<void> {
  await tx.write(sql`
    UPDATE feed_follows w SET until_id = ${lastChange}, move = NULL
    WHERE w.segment_id = ${segmentId} AND w.until_id IS NULL`);
}

/** A deleted segment whose members have all been published as left. */
export async function selectEnded(tx: Tx): Promise<number | undefined> {
  const rows = await tx.query<{ segment_id: number }>(sql`
    SELECT t.segment_id
    FROM feed_segments t JOIN segments s ON s.id = t.segment_id AND s.deleted_at IS NOT NULL
    WHERE NOT EXISTS (SELECT 1 FROM feed_rechecks r WHERE r.segment_id = t.segment_id)
      AND NOT EXISTS (SELECT 1 FROM feed_events e WHERE e.segment_id = t.segment_id)
      AND EXISTS (SELECT 1 FROM feed_follows w WHERE w.segment_id = t.segment_id AND w.until_id IS NULL)
    ORDER BY t.segment_id
    LIMIT 1`);
  return rows[0]?.segment_id;
}

/** A segment that no feed follows any more. */
export async function selectUnfollowed(tx: Tx): Promise<{ segment_id: number; is_forgotten: boolean } | undefined> {
  const rows = await tx.query<{ segment_id: number; is_forgotten: boolean }>(sql`
    SELECT t.segment_id, t.is_forgotten FROM feed_segments t
    WHERE NOT EXISTS (SELECT 1 FROM feed_follows w WHERE w.segment_id = t.segment_id AND w.until_id IS NULL)
    ORDER BY t.is_forgotten DESC, t.segment_id
    LIMIT 1`);
  return rows[0];
}

/** Fails if a feed started to follow the segment since the snapshot of the transaction: {@link insertFeedSegments} updates the row. */
export async function beginForgetting(tx: Tx, segmentId: number): Promise<void> {
  await tx.write(sql`
    UPDATE feed_segments t SET is_forgotten = true, filled_to = 0, writers = NULL WHERE t.segment_id = ${segmentId}`);
}

/** Deletes some published members. Returns how many. */
export async function forgetMembers(tx: Tx, segmentId: number, limit: number): Promise<number> {
  const rows = await tx.write(sql`
    DELETE FROM feed_members m
    WHERE m.segment_id = ${segmentId} AND m.user_id = ANY(ARRAY(
      SELECT n.user_id FROM feed_members n WHERE n.segment_id = ${segmentId} ORDER BY n.user_id LIMIT ${limit}
    ))
    RETURNING 1 AS one`);
  return rows.length;
}

export async function deleteFeedSegment(tx: Tx, segmentId: number): Promise<void> {
  await tx.write(sql`DELETE FROM feed_segments t WHERE t.segment_id = ${segmentId}`);
}

/**
 * Makes segments followed: they are filled, and their changes published from then on. The row is updated in any case, so that
 * a concurrent turn that is about to forget the segment fails.
 */
export async function insertFeedSegments(tx: Tx, segmentIds: readonly number[]): Promise<void> {
  await tx.write(sql`
    INSERT INTO feed_segments AS t (segment_id) SELECT s.id FROM unnest(${segmentIds}::bigint[]) AS s(id)
    ON CONFLICT ON CONSTRAINT feed_segments_pkey DO UPDATE
    SET is_forgotten = false,
      filled_to = CASE WHEN t.is_forgotten THEN 0 ELSE t.filled_to END,
      writers = CASE WHEN t.is_forgotten THEN NULL ELSE t.writers END`);
}
