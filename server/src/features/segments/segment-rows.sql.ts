import sql, { type Sql } from 'sql-template-tag';
import type { JsonObject } from '../../segmentation/conditions/json.ts';
import type { RampSource } from '../../segmentation/definition.ts';

/** The range of a layer that a segment occupies. */
export interface LayerRange {
  readonly id: number;
  readonly slug: string;
  readonly salt: string;
  readonly from: number;
  readonly to: number;
}

/** The rule of a segment in stored form: the condition names other segments by id. */
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

/** A segment whose condition names others by slug, in wire form. */
export interface Segment extends Omit<SegmentRow, 'revision' | 'deleted_at' | 'condition_bytes'> {}

export function asDefinition(fields: DefinitionFields): DefinitionFields {
  const { slug, description, tags, percentage, ramp, layer, bucket_by, condition, active_from, active_until } = fields;
  return { slug, description, tags, percentage, ramp, layer, bucket_by, condition, active_from, active_until };
}

/** Of a segment, or of a version of one: its rule, the layer as one document. */
export const ruleOf = (
  row: Sql,
) => sql`${row}.percentage, ${row}.ramp, ${row}.bucket_by, ${row}.condition, ${row}.active_from, ${row}.active_until, (
    SELECT json_build_object('id', l.id, 'slug', l.slug, 'salt', l.salt, 'from', ${row}.layer_from, 'to', ${row}.layer_to)
    FROM layers l WHERE l.id = ${row}.layer_id
  ) AS layer`;

export const columns = sql`s.id, s.slug, s.description, s.tags, ${ruleOf(sql`s`)}, s.condition_bytes, s.salt, s.version, s.revision,
  s.created_at, s.updated_at, s.deleted_at`;

/** The total size of the preceding rows, in the order of a page. */
export const bytesBefore = (bytes: Sql, order: Sql) =>
  sql`coalesce(sum(${bytes}) OVER (ORDER BY ${order} ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0)::bigint`;
