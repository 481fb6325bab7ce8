import sql from 'sql-template-tag';
import { pageBytes, type Sized } from '../../paging/cursors.ts';
import type { Db, Tx } from '../../postgres/database.ts';
import { bytesBefore, columns, type DefinitionFields, type SegmentRow } from './segment-rows.sql.ts';

function json(value: object | null): string | null {
  return value === null ? null : JSON.stringify(value);
}

/** The time to date a change with: read once all its locks are held, so that changes are dated in their order. */
export async function selectNow(tx: Tx): Promise<Date> {
  const rows = await tx.query<{ now: Date }>(sql`SELECT date_trunc('milliseconds', clock_timestamp()) AS now`);
  if (!rows[0]) throw new Error('the database reports no time');
  return rows[0].now;
}

/** Undefined if a live segment has the slug. */
export async function insertSegment(
  tx: Tx,
  {
    slug,
    description,
    tags,
    percentage,
    ramp,
    layer,
    bucket_by,
    condition,
    active_from,
    active_until,
  }: DefinitionFields,
  { salt, revision, now }: { salt: string; revision: number; now: Date },
): Promise<number | undefined> {
  const rows = await tx.write<{ id: number }>(sql`
    INSERT INTO segments (slug, description, tags, percentage, ramp, layer_id, layer_from, layer_to, bucket_by, condition,
      active_from, active_until, salt, revision, created_at, updated_at)
    SELECT ${slug}, ${description}, ${tags}::text[], ${percentage}::numeric, ${json(ramp)}::jsonb,
      ${layer?.id ?? null}::bigint, ${layer?.from ?? null}::numeric, ${layer?.to ?? null}::numeric, ${bucket_by},
      ${json(condition)}::jsonb, ${active_from}::timestamptz, ${active_until}::timestamptz, ${salt}, ${revision}::bigint,
      ${now}::timestamptz, ${now}::timestamptz
    WHERE NOT EXISTS (SELECT FROM segments s WHERE s.slug = ${slug} AND s.deleted_at IS NULL)
    RETURNING id`);
  return rows[0]?.id;
}

export async function updateSegment(
  tx: Tx,
  id: number,
  {
    slug,
    description,
    tags,
    percentage,
    ramp,
    layer,
    bucket_by,
    condition,
    active_from,
    active_until,
  }: DefinitionFields,
  { revision, now }: { revision: number; now: Date },
): Promise<SegmentRow | undefined> {
  const rows = await tx.write<SegmentRow>(sql`
    UPDATE segments s
    SET slug = ${slug}, description = ${description}, tags = ${tags}::text[], percentage = ${percentage}::numeric,
      ramp = ${json(ramp)}::jsonb, layer_id = ${layer?.id ?? null}::bigint, layer_from = ${layer?.from ?? null}::numeric,
      layer_to = ${layer?.to ?? null}::numeric, bucket_by = ${bucket_by}, condition = ${json(condition)}::jsonb,
      active_from = ${active_from}::timestamptz, active_until = ${active_until}::timestamptz,
      version = s.version + 1, revision = ${revision}, updated_at = ${now}
    WHERE s.id = ${id}
    RETURNING ${columns}`);
  return rows[0];
}

export async function markDeleted(
  tx: Tx,
  id: number,
  { revision, now, actor }: { revision: number; now: Date; actor: string },
): Promise<void> {
  await tx.write(sql`
    UPDATE segments s
    SET deleted_at = ${now}, deleted_by = ${actor}, revision = ${revision}, version = s.version + 1, updated_at = ${now}
    WHERE s.id = ${id}`);
}

export async function selectBySlug(db: Db, slug: string): Promise<SegmentRow | undefined> {
  const rows = await db.query<SegmentRow>(sql`
    SELECT ${columns} FROM segments s WHERE s.slug = ${slug} AND s.deleted_at IS NULL`);
  return rows[0];
}

/** For a change that keeps the segment alive: changes of members, which lock only the row's key, proceed meanwhile. */
export async function selectBySlugForChange(tx: Tx, slug: string): Promise<SegmentRow | undefined> {
  const rows = await tx.query<SegmentRow>(sql`
    SELECT ${columns} FROM segments s WHERE s.slug = ${slug} AND s.deleted_at IS NULL FOR NO KEY UPDATE`);
  return rows[0];
}

export async function selectLiveId(db: Db, slug: string): Promise<number | undefined> {
  const rows = await db.query<{ id: number }>(sql`
    SELECT s.id FROM segments s WHERE s.slug = ${slug} AND s.deleted_at IS NULL`);
  return rows[0]?.id;
}

/** Waits for running adds, which hold the row's key. Later ones wait for this transaction. */
export async function selectBySlugForUpdate(tx: Tx, slug: string): Promise<SegmentRow | undefined> {
  const rows = await tx.query<SegmentRow>(sql`
    SELECT ${columns} FROM segments s WHERE s.slug = ${slug} AND s.deleted_at IS NULL FOR UPDATE`);
  return rows[0];
}

/** The versions of the live segments among these. */
export function selectVersionsOf(db: Db, slugs: readonly string[]): Promise<{ slug: string; version: number }[]> {
  return db.query<{ slug: string; version: number }>(sql`
    SELECT s.slug, s.version FROM segments s WHERE s.slug = ANY(${slugs}::text[]) AND s.deleted_at IS NULL`);
}

export function selectIds(db: Db, slugs: readonly string[]): Promise<{ id: number; slug: string }[]> {
  return db.query<{ id: number; slug: string }>(sql`
    SELECT s.id, s.slug FROM segments s WHERE s.slug = ANY(${slugs}::text[]) AND s.deleted_at IS NULL`);
}

/** The current slugs of segments, deleted ones under the slug they had. */
export function selectSlugs(db: Db, ids: readonly number[]): Promise<{ id: number; slug: string }[]> {
  return db.query<{ id: number; slug: string }>(sql`
    SELECT s.id, s.slug FROM segments s WHERE s.id = ANY(${ids}::bigint[])`);
}

export function selectSegments(
  db: Db,
  {
    query = '',
    tag,
    keyTags,
    after,
    limit,
  }: {
    query: string | undefined;
    tag: string | undefined;
    keyTags: readonly string[] | undefined;
    after: string;
    limit: number;
  },
): Promise<(SegmentRow & Sized)[]> {
  return db.query<SegmentRow & Sized>(sql`
    WITH page AS (
      SELECT s.id, ${bytesBefore(sql`s.condition_bytes`, sql`s.slug`)} AS bytes_before
      FROM segments s
      WHERE s.deleted_at IS NULL
        AND s.slug > ${after}
        AND (${tag}::text IS NULL OR s.tags @> ARRAY[${tag}::text])
        AND (${keyTags}::text[] IS NULL OR s.tags && ${keyTags}::text[])
        AND (${query} = '' OR strpos(lower(s.slug), lower(${query})) > 0 OR strpos(lower(s.description), lower(${query})) > 0)
      ORDER BY s.slug
      LIMIT ${limit}
    )
    SELECT ${columns}, s.condition_bytes AS bytes, p.bytes_before
    FROM page p JOIN segments s ON s.id = p.id
    WHERE p.bytes_before <= ${pageBytes}
    ORDER BY s.slug`);
}
