import type { ChangeCause, ChangeType } from '@kohort/contract';
import sql, { type Sql } from 'sql-template-tag';
import type { Db, Tx } from '../../postgres/database.ts';
import { lastUserId } from './fill.sql.ts';
import type { Position } from './positions.ts';

export interface FeedRow {
  readonly id: number;
  readonly name: string;
  readonly tags: string[] | null;
  readonly types: ChangeType[];
  readonly begins_after: number;
  readonly created_at: Date;
  readonly created_by: string;
  /** Slugs of the segments that the feed follows now. */
  readonly segments: string[];
  readonly is_ready: boolean;
}

const columns = sql`f.id, f.name, f.tags, f.types, f.begins_after, f.created_at, f.created_by,
  ARRAY(
    SELECT s.slug FROM feed_follows w JOIN segments s ON s.id = w.segment_id
    WHERE w.feed_id = f.id AND w.until_id IS NULL AND w.move IS DISTINCT FROM 'leaving' AND s.deleted_at IS NULL
    ORDER BY s.slug
  ) AS segments,
  NOT EXISTS (
    SELECT 1 FROM feed_follows w JOIN feed_segments t ON t.segment_id = w.segment_id
    WHERE w.feed_id = f.id AND w.initial AND w.until_id IS NULL AND t.filled_to < ${lastUserId}
  ) AS is_ready`;

/** Identifies the database: by its cluster, whose identifier a physical copy shares, and its oid. */
export async function selectDatabaseName(db: Db): Promise<string> {
  const rows = await db.query<{ name: string }>(sql`
    SELECT c.system_identifier || ' ' || d.oid AS name
    FROM pg_control_system() c, pg_database d
    WHERE d.datname = current_database()`);
  return rows[0]?.name ?? '';
}

/** Locks definitions against changes until the transaction ends. */
export async function keepDefinitions(tx: Tx): Promise<void> {
  await tx.query(sql`SELECT FROM definitions d FOR SHARE`);
}

export function selectIdsOf(db: Db, slugs: readonly string[]): Promise<{ id: number; slug: string }[]> {
  return db.query<{ id: number; slug: string }>(sql`
    SELECT s.id, s.slug FROM segments s WHERE s.slug = ANY(${slugs}::text[]) AND s.deleted_at IS NULL ORDER BY s.id`);
}

export async function selectIdsWithTags(tx: Tx, tags: readonly string[]): Promise<number[]> {
  const rows = await tx.query<{ id: number }>(sql`
    SELECT s.id FROM segments s WHERE s.deleted_at IS NULL AND s.tags && ${tags}::text[] ORDER BY s.id`);
  return rows.map(({ id }) => id);
}

export async function insertFeed(
  tx: Tx,
  feed: { name: string; tags: readonly string[] | null; types: readonly ChangeType[]; createdBy: string },
): Promise<number> {
  const rows = await tx.write<{ id: number }>(sql`
    INSERT INTO feeds (name, tags, types, begins_after, created_by)
    SELECT ${feed.name}, ${feed.tags}::text[], ${feed.types}::text[], max(c.id), ${feed.createdBy} FROM feed_changes c
    RETURNING id`);
  if (!rows[0]) throw new Error('no feed was inserted');
  return rows[0].id;
}

/** Counts all feeds, those of one caller, and the segments that all feeds follow. */
export async function countFeeds(tx: Tx, createdBy: string): Promise<{ all: number; own: number; follows: number }> {
  const rows = await tx.query<{ all: number; own: number; follows: number }>(sql`
    SELECT count(*) AS "all", count(*) FILTER (WHERE f.created_by = ${createdBy}) AS own,
      (SELECT count(*) FROM feed_follows w WHERE w.until_id IS NULL) AS follows
    FROM feeds f`);
  return rows[0] ?? { all: 0, own: 0, follows: 0 };
}

/** Serializes changes of one feed. */
export async function lockFeed(tx: Tx, id: number): Promise<boolean> {
  return (await tx.query(sql`SELECT FROM feeds f WHERE f.id = ${id} FOR UPDATE`)).length > 0;
}

export async function updateFeed(
  tx: Tx,
  id: number,
  feed: { name: string; tags: readonly string[] | null; types: readonly ChangeType[] },
): Promise<void> {
  await tx.write(sql`
    UPDATE feeds f SET name = ${feed.name}, tags = ${feed.tags}::text[], types = ${feed.types}::text[] WHERE f.id = ${id}`);
}

/** The segments that a feed follows now, without deleted ones. */
export async function selectFollowedIds(tx: Tx, id: number): Promise<number[]> {
  const rows = await tx.query<{ segment_id: number }>(sql`
    SELECT w.segment_id FROM feed_follows w JOIN segments s ON s.id = w.segment_id AND s.deleted_at IS NULL
    WHERE w.feed_id = ${id} AND w.until_id IS NULL AND w.move IS DISTINCT FROM 'leaving'`);
  return rows.map(({ segment_id }) => segment_id);
}

/** Makes a new feed follow segments from its beginning. */
export async function insertFollows(tx: Tx, feedId: number, segmentIds: readonly number[]): Promise<void> {
  await tx.write(sql`
    INSERT INTO feed_follows (feed_id, segment_id, after_id, initial)
    SELECT f.id, s.id, f.begins_after, true FROM feeds f, unnest(${segmentIds}::bigint[]) AS s(id) WHERE f.id = ${feedId}`);
}

export async function selectFeed(db: Db, id: number): Promise<FeedRow | undefined> {
  const rows = await db.query<FeedRow>(sql`SELECT ${columns} FROM feeds f WHERE f.id = ${id}`);
  return rows[0];
}

export function selectFeedsById(db: Db, ids: readonly number[]): Promise<FeedRow[]> {
  return db.query<FeedRow>(sql`SELECT ${columns} FROM feeds f WHERE f.id = ANY(${ids}::bigint[])`);
}

export function selectFeeds(db: Db, { after, limit }: { after: number; limit: number }): Promise<FeedRow[]> {
  return db.query<FeedRow>(sql`SELECT ${columns} FROM feeds f WHERE f.id > ${after} ORDER BY f.id LIMIT ${limit}`);
}

export async function deleteFeedRow(tx: Tx, id: number): Promise<boolean> {
  return (await tx.write(sql`DELETE FROM feeds f WHERE f.id = ${id} RETURNING f.id`)).length > 0;
}

/** The last change of all feeds, as a table of one row: `id`, `nonce`. There is always one. */
export const lastChangeSql = sql`(SELECT c.id, c.nonce FROM feed_changes c ORDER BY c.id DESC LIMIT 1)`;

export async function selectLast(db: Db): Promise<Position> {
  const rows = await db.query<Position>(sql`SELECT l.id, l.nonce FROM ${lastChangeSql} l`);
  if (!rows[0]) throw new Error('there is no change at all');
  return rows[0];
}

export async function selectPosition(db: Db, id: number): Promise<Position | undefined> {
  const rows = await db.query<Position>(sql`SELECT c.id, c.nonce FROM feed_changes c WHERE c.id = ${id}`);
  return rows[0];
}

export interface ChangeRow {
  readonly id: number;
  readonly nonce: number;
  readonly type: ChangeType;
  readonly slug: string;
  readonly user_id: number | null;
  readonly external_id: string | null;
  readonly at: Date;
  readonly cause: ChangeCause;
  readonly actor: string;
  /** Definitions in their wire form, as JSON. */
  readonly before: string | null;
  readonly after: string | null;
}

export interface ChangesRead {
  readonly changes: ChangeRow[];
  /** The last change that was scanned; undefined if there was none. */
  readonly end: Position | undefined;
}

/** Whether a change belongs to a feed: addressed to it alone, or to every feed that followed the segment at that point. */
const isFor = (change: Sql, feedId: Sql) => sql`
  (${change}.feed_id = ${feedId} OR ${change}.feed_id IS NULL AND EXISTS (
    SELECT 1 FROM feed_follows w
    WHERE w.feed_id = ${feedId} AND w.segment_id = ${change}.segment_id AND ${change}.id > w.after_id
      AND (w.until_id IS NULL OR ${change}.id <= w.until_id)
  ))`;

/**
 * The first changes of a feed among the next `scan` changes of all feeds: up to `limit`, and as many as have definitions of
 * `bytes` together, but at least one. Undefined if the change at `after` is gone.
 */
export async function selectChanges(
  db: Db,
  { id, types }: Pick<FeedRow, 'id' | 'types'>,
  { after, limit, bytes, scan }: { after: Position; limit: number; bytes: number; scan: number },
): Promise<ChangesRead | undefined> {
  type Row = { is_known: boolean; end_id: number | null; end_nonce: number; is_whole: boolean } & (
    | ChangeRow
    | { id: null }
  );
  // Definitions are passed along unread, and only those that are answered are read.
  const rows = await db.query<Row>(sql`
    WITH scanned AS MATERIALIZED (
      SELECT * FROM feed_changes c WHERE c.id > ${after.id} ORDER BY c.id LIMIT ${scan}
    ), wanted AS MATERIALIZED (
      SELECT c.*, c.nth = 1 OR c.nth <= ${limit} AND c.bytes_with <= ${bytes} AS fits
      FROM (
        SELECT c.*, row_number() OVER so_far AS nth, sum(c.definition_bytes) OVER so_far AS bytes_with
        FROM scanned c
        WHERE c.type = ANY(${types}::text[]) AND ${isFor(sql`c`, sql`${id}::bigint`)}
        WINDOW so_far AS (ORDER BY c.id ROWS UNBOUNDED PRECEDING)
      ) c
    )
    SELECT EXISTS (SELECT 1 FROM feed_changes k WHERE k.id = ${after.id} AND k.nonce = ${after.nonce}) AS is_known,
      e.id AS end_id, e.nonce AS end_nonce, NOT EXISTS (SELECT 1 FROM wanted r WHERE NOT r.fits) AS is_whole,
      w.id, w.nonce, w.type, w.slug, w.user_id, w.external_id, w.at, w.cause, w.actor, w.before::text AS before, w.after::text AS after
    FROM (SELECT) one
      LEFT JOIN (SELECT s.id, s.nonce FROM scanned s ORDER BY s.id DESC LIMIT 1) e ON true
      LEFT JOIN wanted w ON w.fits
    ORDER BY w.id`);
  const [first] = rows;
  if (!first?.is_known) return undefined;
  const changes = rows.filter((row): row is typeof row & ChangeRow => row.id !== null);
  const end = first.end_id === null ? undefined : { id: first.end_id, nonce: first.end_nonce };
  return { changes, end: first.is_whole ? end : changes.at(-1) };
}

/** SQL: whether a feed has changes after an id, as {@link selectChanges} finds them. */
export function hasChangesAfter(feedId: Sql, after: Sql): Sql {
  return sql`EXISTS (
    SELECT 1 FROM feed_changes c JOIN feeds f ON f.id = ${feedId} AND c.type = ANY(f.types)
    WHERE c.id > ${after} AND ${isFor(sql`c`, sql`f.id`)}
  )`;
}

export interface SnapshotRow {
  readonly slug: string;
  readonly user_id: number;
  readonly external_id: string | null;
  /** Null except in the last row, which is the last change: `nonce`, with its id as `user_id`. */
  readonly nonce: number | null;
}

/** The members of the segments of a feed as of the last change, which is the last row. */
export function snapshotOf(feedId: number): Sql {
  return sql`
    SELECT s.slug, m.user_id, u.external_id, NULL::integer AS nonce
    FROM feed_follows w
      JOIN segments s ON s.id = w.segment_id
      JOIN feed_members m ON m.segment_id = w.segment_id
      LEFT JOIN users u ON u.id = m.user_id
    WHERE w.feed_id = ${feedId} AND w.until_id IS NULL AND (w.move IS DISTINCT FROM 'leaving' OR m.user_id > w.moved_to)
    UNION ALL
    (SELECT NULL, c.id, NULL, c.nonce FROM feed_changes c ORDER BY c.id DESC LIMIT 1)`;
}
