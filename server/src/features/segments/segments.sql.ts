import sql from 'sql-template-tag';
import type { Db, Tx } from '../../postgres/database.ts';
import type { JsonObject } from '../../segmentation/conditions/json.ts';

/** As the database keeps it: the condition names other segments by id. */
export interface SegmentRow {
  readonly id: number;
  readonly slug: string;
  readonly description: string | null;
  readonly tags: string[];
  readonly percentage: number | null;
  readonly condition: JsonObject | null;
  readonly salt: string;
  readonly version: number;
  readonly revision: number;
  readonly created_at: Date;
  readonly updated_at: Date;
  readonly deleted_at: Date | null;
}

export interface DefinitionFields {
  readonly slug: string;
  readonly description: string | null;
  readonly tags: readonly string[];
  readonly percentage: number | null;
  readonly condition: JsonObject | null;
}

const columns = sql`s.id, s.slug, s.description, s.tags, s.percentage, s.condition, s.salt, s.version, s.revision,
  s.created_at, s.updated_at, s.deleted_at`;

function json(value: JsonObject | null): string | null {
  return value === null ? null : JSON.stringify(value);
}

/** Makes every writer of definitions wait until this transaction ends, and gives it its place in their order. */
export async function raiseRevision(tx: Tx): Promise<number> {
  const rows = await tx.write<{ revision: number }>(sql`
    UPDATE definitions d SET revision = d.revision + 1 RETURNING d.revision`);
  if (!rows[0]) throw new Error('the definitions row is missing');
  return rows[0].revision;
}

/** The moment to date a change with: asked for once all its locks are held, so that changes are dated in their order. */
export async function selectNow(tx: Tx): Promise<Date> {
  const rows = await tx.query<{ now: Date }>(sql`SELECT date_trunc('milliseconds', clock_timestamp()) AS now`);
  if (!rows[0]) throw new Error('the database tells no time');
  return rows[0].now;
}

/** Undefined when a live segment has the slug. */
export async function insertSegment(
  tx: Tx,
  { slug, description, tags, percentage, condition }: DefinitionFields,
  { salt, revision, now }: { salt: string; revision: number; now: Date },
): Promise<number | undefined> {
  const rows = await tx.write<{ id: number }>(sql`
    INSERT INTO segments (slug, description, tags, percentage, condition, salt, revision, created_at, updated_at)
    SELECT ${slug}, ${description}, ${tags}::text[], ${percentage}::numeric, ${json(condition)}::jsonb, ${salt}, ${revision}::bigint,
      ${now}::timestamptz, ${now}::timestamptz
    WHERE NOT EXISTS (SELECT FROM segments s WHERE s.slug = ${slug} AND s.deleted_at IS NULL)
    RETURNING id`);
  return rows[0]?.id;
}

export async function updateSegment(
  tx: Tx,
  id: number,
  { slug, description, tags, percentage, condition }: DefinitionFields,
  { revision, now }: { revision: number; now: Date },
): Promise<SegmentRow | undefined> {
  const rows = await tx.write<SegmentRow>(sql`
    UPDATE segments s
    SET slug = ${slug}, description = ${description}, tags = ${tags}::text[], percentage = ${percentage}::numeric,
      condition = ${json(condition)}::jsonb, version = s.version + 1, revision = ${revision}, updated_at = ${now}
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

export async function insertVersion(
  tx: Tx,
  id: number,
  { at, actor, action }: { at: Date; actor: string; action: 'create' | 'update' | 'delete' },
): Promise<void> {
  await tx.write(sql`
    INSERT INTO segment_versions (segment_id, version, at, actor, action, slug, description, tags, percentage, condition)
    SELECT s.id, s.version, ${at}::timestamptz, ${actor}, ${action}, s.slug, s.description, s.tags, s.percentage, s.condition
    FROM segments s
    WHERE s.id = ${id}`);
}

export async function replaceReferences(tx: Tx, id: number, referenced: readonly number[]): Promise<void> {
  await tx.write(sql`DELETE FROM segment_references r WHERE r.segment_id = ${id}`);
  await tx.write(sql`
    INSERT INTO segment_references (segment_id, referenced_id)
    SELECT ${id}::bigint, r.id FROM unnest(${referenced}::bigint[]) AS r(id)`);
}

/** Those of `ids` whose conditions depend on segment `id`, at whatever remove; a segment depends on itself. */
export async function selectDependents(tx: Tx, id: number, ids: readonly number[]): Promise<number[]> {
  const rows = await tx.query<{ id: number }>(sql`
    WITH RECURSIVE dependents (id) AS (
      SELECT ${id}::bigint
      UNION
      SELECT r.segment_id FROM dependents d JOIN segment_references r ON r.referenced_id = d.id
    )
    SELECT d.id FROM dependents d WHERE d.id = ANY(${ids}::bigint[])`);
  return rows.map((row) => row.id);
}

export async function selectBySlug(db: Db, slug: string): Promise<SegmentRow | undefined> {
  const rows = await db.query<SegmentRow>(sql`
    SELECT ${columns} FROM segments s WHERE s.slug = ${slug} AND s.deleted_at IS NULL`);
  return rows[0];
}

/** For a change that leaves it alive: changes of members, which hold the row's key, go on meanwhile. */
export async function selectBySlugForChange(tx: Tx, slug: string): Promise<SegmentRow | undefined> {
  const rows = await tx.query<SegmentRow>(sql`
    SELECT ${columns} FROM segments s WHERE s.slug = ${slug} AND s.deleted_at IS NULL FOR NO KEY UPDATE`);
  return rows[0];
}

/** Waits for the adds that are under way: they hold the row's key. Those that come later wait for this transaction. */
export async function selectBySlugForUpdate(tx: Tx, slug: string): Promise<SegmentRow | undefined> {
  const rows = await tx.query<SegmentRow>(sql`
    SELECT ${columns} FROM segments s WHERE s.slug = ${slug} AND s.deleted_at IS NULL FOR UPDATE`);
  return rows[0];
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

export async function selectUsedBy(db: Db, id: number): Promise<string[]> {
  const rows = await db.query<{ slug: string }>(sql`
    SELECT s.slug FROM segment_references r JOIN segments s ON s.id = r.segment_id
    WHERE r.referenced_id = ${id}
    ORDER BY s.slug`);
  return rows.map(({ slug }) => slug);
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
): Promise<SegmentRow[]> {
  return db.query<SegmentRow>(sql`
    SELECT ${columns} FROM segments s
    WHERE s.deleted_at IS NULL
      AND s.slug > ${after}
      AND (${tag}::text IS NULL OR s.tags @> ARRAY[${tag}::text])
      AND (${keyTags}::text[] IS NULL OR s.tags && ${keyTags}::text[])
      AND (${query} = '' OR strpos(lower(s.slug), lower(${query})) > 0 OR strpos(lower(s.description), lower(${query})) > 0)
    ORDER BY s.slug
    LIMIT ${limit}`);
}

export interface VersionRow extends DefinitionFields {
  readonly version: number;
  readonly at: Date;
  readonly actor: string;
  readonly action: 'create' | 'update' | 'delete';
}

/** Newest first; the row after a page's last is fetched too, as the state before it. */
export function selectVersions(
  db: Db,
  id: number,
  { before, limit }: { before: number; limit: number },
): Promise<VersionRow[]> {
  return db.query<VersionRow>(sql`
    SELECT v.version, v.at, v.actor, v.action, v.slug, v.description, v.tags, v.percentage, v.condition
    FROM segment_versions v
    WHERE v.segment_id = ${id} AND v.version < ${before}
    ORDER BY v.version DESC
    LIMIT ${limit}`);
}

/** Every live definition that changed after `revision`, and every one that ceased to be, with the revision all of it is from. */
export async function selectChangedSince(
  db: Db,
  revision: number,
): Promise<{ revision: number; segments: SegmentRow[] }> {
  const rows = await db.query<{ current: number } & { [K in keyof SegmentRow]: SegmentRow[K] | null }>(sql`
    SELECT d.revision AS current, ${columns}
    FROM definitions d LEFT JOIN segments s ON s.revision > ${revision}`);
  return {
    revision: rows[0]?.current ?? revision,
    segments: rows.filter((row): row is typeof row & SegmentRow => row.id !== null),
  };
}

/** Tells the states of all definitions apart: equal marks, equal state. */
export async function selectVersionMark(db: Db, at: Date): Promise<string> {
  const rows = await db.query<{ mark: string }>(sql`
    SELECT count(*) || ' ' || coalesce(max(v.at)::text, '') AS mark FROM segment_versions v WHERE v.at <= ${at}`);
  return rows[0]?.mark ?? '';
}

/** What decides who is in, of every segment that was live at a moment, under the slug it had then. */
export function selectDefinitionsAt(
  db: Db,
  at: Date,
): Promise<Pick<SegmentRow, 'id' | 'slug' | 'salt' | 'percentage' | 'condition'>[]> {
  return db.query<Pick<SegmentRow, 'id' | 'slug' | 'salt' | 'percentage' | 'condition'>>(sql`
    SELECT v.segment_id AS id, v.slug, s.salt, v.percentage, v.condition
    FROM (
      SELECT DISTINCT ON (v.segment_id) v.segment_id, v.action, v.slug, v.percentage, v.condition
      FROM segment_versions v
      WHERE v.at <= ${at}
      ORDER BY v.segment_id, v.version DESC
    ) v JOIN segments s ON s.id = v.segment_id
    WHERE v.action <> 'delete'`);
}
