import sql from 'sql-template-tag';
import { pageBytes, type Sized } from '../../paging/cursors.ts';
import type { Db, Tx } from '../../postgres/database.ts';
import { bytesBefore, type DefinitionFields, type RuleFields, ruleOf, type SegmentRow } from './segment-rows.sql.ts';

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

export interface VersionRow extends DefinitionFields {
  readonly version: number;
  readonly at: Date;
  readonly actor: string;
  readonly action: 'create' | 'update' | 'delete';
}

/** Newest first. Includes the row after the last of a page, as the state before it. */
export function selectVersions(
  db: Db,
  id: number,
  { before, limit }: { before: number; limit: number },
): Promise<(VersionRow & Sized)[]> {
  // An event shows two conditions: before and after.
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

/** A fingerprint of all definitions: equal fingerprints mean equal states. */
export async function selectVersionMark(db: Db, at: Date): Promise<string> {
  const rows = await db.query<{ mark: string }>(sql`
    SELECT count(*) || ' ' || coalesce(max(v.at)::text, '') AS mark FROM segment_versions v WHERE v.at <= ${at}`);
  return rows[0]?.mark ?? '';
}

/** The rule of every segment that was live at a moment, with the slug it had then. */
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
