import sql, { type Sql } from 'sql-template-tag';
import { pageBytes, type Sized } from '../../paging/cursors.ts';
import type { Db, Tx } from '../../postgres/database.ts';
import type { JsonObject } from '../../segmentation/conditions/json.ts';
import type { RampSource } from '../../segmentation/definition.ts';

/** The range of a layer that a segment takes. */
export interface LayerRange {
  readonly id: number;
  readonly slug: string;
  readonly salt: string;
  readonly from: number;
  readonly to: number;
}

/** What decides who is in, as the database keeps it: the condition names other segments by id. */
export interface RuleFields {
  readonly percentage: number | null;
  readonly ramp: RampSource | null;
  readonly layer: LayerRange | null;
  readonly bucket_by: string | null;
  readonly condition: JsonObject | null;
  readonly active_from: Date | null;
  readonly active_until: Date | null;
}

export interface DefinitionFields extends RuleFields {
  readonly slug: string;
  readonly description: string | null;
  readonly tags: readonly string[];
}

export interface SegmentRow extends DefinitionFields {
  readonly id: number;
  readonly tags: string[];
  readonly salt: string;
  readonly condition_bytes: number;
  readonly version: number;
  readonly revision: number;
  readonly created_at: Date;
  readonly updated_at: Date;
  readonly deleted_at: Date | null;
}

/** Of a segment, or of a version of one: its rule, the layer as one document. */
const ruleOf = (
  row: Sql,
) => sql`${row}.percentage, ${row}.ramp, ${row}.bucket_by, ${row}.condition, ${row}.active_from, ${row}.active_until, (
    SELECT json_build_object('id', l.id, 'slug', l.slug, 'salt', l.salt, 'from', ${row}.layer_from, 'to', ${row}.layer_to)
    FROM layers l WHERE l.id = ${row}.layer_id
  ) AS layer`;

const columns = sql`s.id, s.slug, s.description, s.tags, ${ruleOf(sql`s`)}, s.condition_bytes, s.salt, s.version, s.revision,
  s.created_at, s.updated_at, s.deleted_at`;

/** What the rows before one take, in the order of a page. */
const bytesBefore = (bytes: Sql, order: Sql) =>
  sql`coalesce(sum(${bytes}) OVER (ORDER BY ${order} ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0)::bigint`;

function json(value: object | null): string | null {
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
  if (!rows[0]) throw new Error('the database reports no time');
  return rows[0].now;
}

/** Undefined when a live segment has the slug. */
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

export async function insertVersion(
  tx: Tx,
  id: number,
  { at, actor, action }: { at: Date; actor: string; action: 'create' | 'update' | 'delete' },
): Promise<void> {
  await tx.write(sql`
    INSERT INTO segment_versions (segment_id, version, at, actor, action, slug, description, tags, percentage, ramp,
      layer_id, layer_from, layer_to, bucket_by, condition, active_from, active_until)
    SELECT s.id, s.version, ${at}::timestamptz, ${actor}, ${action}, s.slug, s.description, s.tags, s.percentage, s.ramp,
      s.layer_id, s.layer_from, s.layer_to, s.bucket_by, s.condition, s.active_from, s.active_until
    FROM segments s
    WHERE s.id = ${id}`);
}

export async function replaceReferences(tx: Tx, id: number, referenced: readonly number[]): Promise<void> {
  await tx.write(sql`DELETE FROM segment_references r WHERE r.segment_id = ${id}`);
  await tx.write(sql`
    INSERT INTO segment_references (segment_id, referenced_id)
    SELECT ${id}::bigint, r.id FROM unnest(${referenced}::bigint[]) AS r(id)`);
}

/** The followed segments, and those that their conditions name, directly or not. */
const reached = sql`
  WITH RECURSIVE reached (id) AS (
    SELECT f.segment_id FROM feed_segments f WHERE NOT f.is_forgotten
    UNION
    SELECT r.referenced_id FROM reached JOIN segment_references r ON r.segment_id = reached.id
  )`;

/**
 * Marks the segments whose changes of members feeds need. Writers of memberships read the marks from the rows that they lock.
 * True where one was marked that had not been.
 */
export async function markFollowed(tx: Tx): Promise<boolean> {
  const rows = await tx.write(sql`
    ${reached}, missing AS MATERIALIZED (
      SELECT s.id FROM segments s WHERE NOT s.followed AND s.id IN (SELECT r.id FROM reached r) ORDER BY s.id FOR NO KEY UPDATE
    )
    UPDATE segments s SET followed = true FROM missing m WHERE s.id = m.id
    RETURNING s.id`);
  return rows.length > 0;
}

/** Clears the marks that nobody needs any more. The transaction has the lock on definitions: a new reference may need one. */
export async function unmarkFollowed(tx: Tx): Promise<void> {
  await tx.write(sql`
    ${reached}, needless AS MATERIALIZED (
      SELECT s.id FROM segments s WHERE s.followed AND s.id NOT IN (SELECT r.id FROM reached r) ORDER BY s.id FOR NO KEY UPDATE
    )
    UPDATE segments s SET followed = false FROM needless n WHERE s.id = n.id`);
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

/** The versions of those that are live. */
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

/** How large the conditions of all live segments are together. */
export async function selectConditionBytes(tx: Tx): Promise<number> {
  const rows = await tx.query<{ bytes: number }>(sql`
    SELECT coalesce(sum(s.condition_bytes), 0)::bigint AS bytes FROM segments s WHERE s.deleted_at IS NULL`);
  return rows[0]?.bytes ?? 0;
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
): Promise<(VersionRow & Sized)[]> {
  // An event shows two conditions: the one before it too.
  return db.query<VersionRow & Sized>(sql`
    WITH page AS (
      SELECT v.version, 2 * ${bytesBefore(sql`v.condition_bytes`, sql`v.version DESC`)} AS bytes_before
      FROM segment_versions v
      WHERE v.segment_id = ${id} AND v.version < ${before}
      ORDER BY v.version DESC
      LIMIT ${limit}
    )
    SELECT v.version, v.at, v.actor, v.action, v.slug, v.description, v.tags, ${ruleOf(sql`v`)},
      2 * v.condition_bytes AS bytes, p.bytes_before
    FROM page p JOIN segment_versions v ON v.segment_id = ${id} AND v.version = p.version
    WHERE p.bytes_before <= ${pageBytes}
    ORDER BY v.version DESC`);
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

/** A mark of the state of all definitions: equal marks mean equal states. */
export async function selectVersionMark(db: Db, at: Date): Promise<string> {
  const rows = await db.query<{ mark: string }>(sql`
    SELECT count(*) || ' ' || coalesce(max(v.at)::text, '') AS mark FROM segment_versions v WHERE v.at <= ${at}`);
  return rows[0]?.mark ?? '';
}

/** What decides who is in, of every segment that was live at a moment, under the slug it had then. */
export function selectDefinitionsAt(
  db: Db,
  at: Date,
): Promise<(RuleFields & Pick<SegmentRow, 'id' | 'slug' | 'salt' | 'condition_bytes'>)[]> {
  return db.query(sql`
    SELECT v.segment_id AS id, v.slug, s.salt, v.condition_bytes, ${ruleOf(sql`v`)}
    FROM (
      SELECT DISTINCT ON (v.segment_id) v.*
      FROM segment_versions v
      WHERE v.at <= ${at}
      ORDER BY v.segment_id, v.version DESC
    ) v JOIN segments s ON s.id = v.segment_id
    WHERE v.action <> 'delete'`);
}

/** The live layer of a slug. */
export async function selectLiveLayer(tx: Db, slug: string): Promise<{ id: number; salt: string } | undefined> {
  const rows = await tx.query<{ id: number; salt: string }>(sql`
    SELECT l.id, l.salt FROM layers l WHERE l.slug = ${slug} AND l.deleted_at IS NULL`);
  return rows[0];
}

/** The live segments, other than one, whose ranges overlap with a range of a layer. */
export function selectOverlapping(
  tx: Tx,
  { id, from, to }: LayerRange,
  exceptId: number | undefined,
): Promise<{ slug: string; from: number; to: number }[]> {
  return tx.query<{ slug: string; from: number; to: number }>(sql`
    SELECT s.slug, s.layer_from AS "from", s.layer_to AS "to"
    FROM segments s
    WHERE s.layer_id = ${id} AND s.deleted_at IS NULL AND s.layer_from < ${to}::numeric AND s.layer_to > ${from}::numeric
      AND s.id IS DISTINCT FROM ${exceptId ?? null}::bigint
    ORDER BY s.layer_from`);
}
