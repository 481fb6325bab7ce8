import type { ChangeCause, ChangeType } from '@kohort/contract';
import sql, { type Sql } from 'sql-template-tag';
import type { Db, Tx } from '../../postgres/database.ts';
import type { WireDefinition } from './on-wire.ts';
import type { Position } from './positions.ts';
import { lastUserId } from './told.sql.ts';

export interface FeedRow {
  readonly id: number;
  readonly name: string;
  readonly tags: string[] | null;
  readonly types: ChangeType[];
  readonly begins_after: number;
  readonly created_at: Date;
  readonly created_by: string;
  /** Of the segments that are followed now. */
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
    SELECT FROM feed_follows w JOIN feed_segments t ON t.segment_id = w.segment_id
    WHERE w.feed_id = f.id AND w.initial AND w.until_id IS NULL AND t.filled_to < ${lastUserId}
  ) AS is_ready`;

/** What names the database: the cluster, which a physical copy shares, and its own number in it. */
export async function selectDatabaseName(db: Db): Promise<string> {
  const rows = await db.query<{ name: string }>(sql`
    SELECT c.system_identifier || ' ' || d.oid AS name
    FROM pg_control_system() c, pg_database d
    WHERE d.datname = current_database()`);
  return rows[0]?.name ?? '';
}

/** Keeps definitions as they are until the transaction ends. */
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

/** How many feeds there are, how many of them one caller has created, and how many segments all of them follow. */
export async function countFeeds(tx: Tx, createdBy: string): Promise<{ all: number; own: number; follows: number }> {
  const rows = await tx.query<{ all: number; own: number; follows: number }>(sql`
    SELECT count(*) AS "all", count(*) FILTER (WHERE f.created_by = ${createdBy}) AS own,
      (SELECT count(*) FROM feed_follows w WHERE w.until_id IS NULL) AS follows
    FROM feeds f`);
  return rows[0] ?? { all: 0, own: 0, follows: 0 };
}

/** One at a time changes a feed. */
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

/** The segments that a feed follows now, deleted ones left out. */
export async function selectFollowedIds(tx: Tx, id: number): Promise<number[]> {
  const rows = await tx.query<{ segment_id: number }>(sql`
    SELECT w.segment_id FROM feed_follows w JOIN segments s ON s.id = w.segment_id AND s.deleted_at IS NULL
    WHERE w.feed_id = ${id} AND w.until_id IS NULL AND w.move IS DISTINCT FROM 'leaving'`);
  return rows.map(({ segment_id }) => segment_id);
}

/** The feed follows segments from its beginning. */
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

/** The last change of all, as a table of one row: `id`, `nonce`. There is always one. */
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
  readonly before: WireDefinition | null;
  readonly after: WireDefinition | null;
}

export interface ChangesRead {
  readonly changes: ChangeRow[];
  /** The last change that was looked at; undefined when there was none. */
  readonly end: Position | undefined;
}

/** Whether a change is for a feed: for it alone, or for all who follow the segment by then. */
const isFor = (change: Sql, feedId: Sql) => sql`
  (${change}.feed_id = ${feedId} OR ${change}.feed_id IS NULL AND EXISTS (
    SELECT FROM feed_follows w
    WHERE w.feed_id = ${feedId} AND w.segment_id = ${change}.segment_id AND ${change}.id > w.after_id
      AND (w.until_id IS NULL OR ${change}.id <= w.until_id)
  ))`;

/** The first changes of a feed after a place, among so many of all feeds. Undefined when that place is no longer known. */
export async function selectChanges(
  db: Db,
  { id, types }: Pick<FeedRow, 'id' | 'types'>,
  { after, limit, scan }: { after: Position; limit: number; scan: number },
): Promise<ChangesRead | undefined> {
  type Row = { is_known: boolean; end_id: number | null; end_nonce: number } & (ChangeRow | { id: null });
  const rows = await db.query<Row>(sql`
    WITH scanned AS MATERIALIZED (
      SELECT * FROM feed_changes c WHERE c.id > ${after.id} ORDER BY c.id LIMIT ${scan}
    ), wanted AS (
      SELECT c.id, c.nonce, c.type, c.slug, c.user_id, c.external_id, c.at, c.cause, c.actor, c.before, c.after
      FROM scanned c
      WHERE c.type = ANY(${types}::text[]) AND ${isFor(sql`c`, sql`${id}::bigint`)}
      ORDER BY c.id
      LIMIT ${limit}
    )
    SELECT EXISTS (SELECT FROM feed_changes k WHERE k.id = ${after.id} AND k.nonce = ${after.nonce}) AS is_known,
      e.id AS end_id, e.nonce AS end_nonce, w.*
    FROM (SELECT) one
      LEFT JOIN (SELECT s.id, s.nonce FROM scanned s ORDER BY s.id DESC LIMIT 1) e ON true
      LEFT JOIN wanted w ON true
    ORDER BY w.id`);
  const [first] = rows;
  if (!first?.is_known) return undefined;
  const changes = rows.filter((row): row is typeof row & ChangeRow => row.id !== null);
  const end = first.end_id === null ? undefined : { id: first.end_id, nonce: first.end_nonce };
  return { changes, end: changes.length === limit ? changes.at(-1) : end };
}

/** Whether a feed has changes after an id, as {@link selectChanges} would find them; of a row of another table. */
export function tellsAfter(feedId: Sql, after: Sql): Sql {
  return sql`EXISTS (
    SELECT FROM feed_changes c JOIN feeds f ON f.id = ${feedId} AND c.type = ANY(f.types)
    WHERE c.id > ${after} AND ${isFor(sql`c`, sql`f.id`)}
  )`;
}

export interface SnapshotRow {
  readonly slug: string;
  readonly user_id: number;
  readonly external_id: string | null;
  /** Null, but for the last row: there it is the last change's, whose id is `user_id`. */
  readonly nonce: number | null;
}

/** Who is in the segments of a feed, as told by the last change there is, which is the last row. */
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
