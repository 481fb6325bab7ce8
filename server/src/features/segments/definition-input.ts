import { invalid, Problem, parseTime } from '@kohort/contract';
import type { Db, Tx } from '../../postgres/database.ts';
import { isPercentage } from '../../segmentation/bucket.ts';
import type { JsonObject } from '../../segmentation/conditions/json.ts';
import { attributePath, parseCondition } from '../../segmentation/conditions/parse.ts';
import { references, toStored } from '../../segmentation/conditions/references.ts';
import type { RampSource } from '../../segmentation/definition.ts';
import { selectLiveLayer, selectOverlapping } from './layer-ranges.sql.ts';
import type { LayerRange, RuleFields } from './segment-rows.sql.ts';
import { selectIds } from './segments.sql.ts';

/** A rule in wire form: segments and layers by slug, times as texts. Absent fields are kept, null clears. */
export interface RuleInput {
  readonly percentage?: number | null;
  readonly ramp?: RampSource | null;
  readonly layer?: { readonly slug: string; readonly from: number; readonly to: number } | null;
  readonly bucket_by?: string | null;
  readonly condition?: Readonly<Record<string, unknown>> | null;
  readonly active_from?: string | null;
  readonly active_until?: string | null;
}

/** A segment that a condition names, and the JSON pointer to it. */
export interface NamedSegment {
  readonly id: number;
  readonly at: string;
}

/** The given fields of a rule, in stored form, and the segments that its condition names. */
export interface ReadRule {
  readonly fields: Partial<RuleFields>;
  readonly named: readonly NamedSegment[] | undefined;
}

export const noRule: RuleFields = {
  percentage: null,
  ramp: null,
  layer: null,
  bucket_by: null,
  condition: null,
  active_from: null,
  active_until: null,
};

export function refuse(errors: readonly { path: string; message: string }[]): Problem {
  const [first] = errors;
  return new Problem('invalid', `${first?.path} ${first?.message}`, { errors: errors.slice(0, 20) });
}

/**
 * Reads the rule of a request.
 * @throws Problem 400 with the place of every error, including unknown slugs.
 */
export async function readRule(db: Db, input: RuleInput): Promise<ReadRule> {
  const { percentage, ramp, layer, bucket_by, condition, active_from, active_until } = input;
  if (percentage != null) checkPercentage(percentage, '/body/percentage');
  if (bucket_by != null && attributePath(bucket_by) === undefined) {
    throw invalid('/body/bucket_by', 'must be a path in the attributes, such as company.id');
  }
  const stored = condition === undefined ? undefined : await readCondition(db, condition);
  const fields: { -readonly [K in keyof RuleFields]?: RuleFields[K] } = {};
  if (percentage !== undefined) fields.percentage = percentage;
  if (ramp !== undefined) fields.ramp = ramp && readRamp(ramp);
  if (layer !== undefined) fields.layer = layer && (await readLayerRange(db, layer));
  if (bucket_by !== undefined) fields.bucket_by = bucket_by;
  if (stored !== undefined) fields.condition = stored.condition;
  if (active_from !== undefined) fields.active_from = readTime(active_from);
  if (active_until !== undefined) fields.active_until = readTime(active_until);
  checkTogether(fields);
  return { fields, named: stored?.named };
}

function checkPercentage(value: number, path: string): void {
  if (!isPercentage(value)) throw refuse([{ path, message: 'must be from 0 to 100 with at most 3 decimals' }]);
}

/** The contract has checked the form of times; here they are truncated to milliseconds. */
function readTime(text: string | null): Date | null {
  return text === null ? null : (parseTime(text) ?? null);
}

function readRamp({ from, to, starts_at, ends_at }: RampSource): RampSource {
  checkPercentage(from, '/body/ramp/from');
  checkPercentage(to, '/body/ramp/to');
  const [start, end] = [parseTime(starts_at), parseTime(ends_at)];
  if (!start || !end || start >= end) throw invalid('/body/ramp/ends_at', 'must be later than starts_at');
  return { from, to, starts_at: start.toISOString(), ends_at: end.toISOString() };
}

async function readLayerRange(
  db: Db,
  { slug, from, to }: { slug: string; from: number; to: number },
): Promise<LayerRange> {
  checkPercentage(from, '/body/layer/from');
  checkPercentage(to, '/body/layer/to');
  if (from >= to) throw invalid('/body/layer/to', 'must be above from');
  const layer = await selectLiveLayer(db, slug);
  if (!layer) throw invalid('/body/layer/slug', `names the unknown layer ${slug}`);
  return { ...layer, slug, from, to };
}

/**
 * Checks fields against each other.
 * @throws Problem 400
 */
export function checkTogether({ percentage, ramp, layer, active_from, active_until }: Partial<RuleFields>): void {
  if (ramp && percentage != null) throw invalid('/body/ramp', 'replaces percentage: give only one of them');
  if (layer && (ramp || percentage != null)) {
    throw invalid('/body/layer', `replaces ${ramp ? 'ramp' : 'percentage'}: give only one of them`);
  }
  if (active_from && active_until && active_from >= active_until) {
    throw invalid('/body/active_until', 'must be later than active_from');
  }
}

/** @throws Problem 409 with the overlapping segments. The constraint segments_layer_overlap refuses concurrent ones. */
export async function checkOverlap(tx: Tx, layer: LayerRange | null, exceptId?: number): Promise<void> {
  if (layer === null) return;
  const overlapping = await selectOverlapping(tx, layer, exceptId);
  if (overlapping.length > 0) throw layerOverlap(layer, overlapping);
}

export function layerOverlap(
  { slug, from, to }: Pick<LayerRange, 'slug' | 'from' | 'to'>,
  overlapping: readonly { slug: string; from: number; to: number }[],
): Problem {
  const others = overlapping.map((one) => `${one.slug} [${one.from}, ${one.to})`).join(', ');
  return new Problem('layer_overlap', `The range [${from}, ${to}) of the layer ${slug} overlaps with ${others}.`);
}

async function readCondition(
  db: Db,
  wire: Readonly<Record<string, unknown>> | null,
): Promise<{ condition: JsonObject | null; named: readonly NamedSegment[] }> {
  if (wire === null) return { condition: null, named: [] };
  const parsed = parseCondition(wire, '/body/condition');
  if (!parsed.ok) throw refuse(parsed.errors);
  const mentions = references(parsed.condition);
  const found =
    mentions.length === 0
      ? []
      : await selectIds(
          db,
          mentions.map(({ segment }) => segment),
        );
  const ids = new Map(found.map(({ slug, id }) => [slug, id]));
  const unknown = mentions.filter(({ segment }) => !ids.has(segment));
  if (unknown.length > 0) {
    throw refuse(unknown.map(({ at, segment }) => ({ path: at, message: `names the unknown segment ${segment}` })));
  }
  return {
    condition: toStored(wire, (slug) => ids.get(slug)),
    named: mentions.flatMap(({ segment, at }) => {
      const id = ids.get(segment);
      return id === undefined ? [] : [{ id, at }];
    }),
  };
}
