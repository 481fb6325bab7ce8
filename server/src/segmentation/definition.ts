import type { Condition, Path } from './conditions/condition.ts';
import { compileCondition, type Evaluate } from './conditions/evaluate.ts';
import type { JsonObject } from './conditions/json.ts';
import { parseStoredCondition } from './conditions/parse.ts';
import { countNodes, enginePatterns, references } from './conditions/references.ts';
import type { Pattern } from './conditions/regex.ts';
import type { Ramp, Share } from './share.ts';

/** What decides who is in a segment, beside overrides; compiled once. */
export interface Definition {
  readonly id: number;
  readonly slug: string;
  /** The segment's own; a range of a layer goes by that of the layer. */
  readonly salt: string;
  readonly share: Share | null;
  /** Where the key of the bucket stands in the attributes; null for the user's own key. */
  readonly bucketBy: Path | null;
  readonly condition: Condition<number> | null;
  readonly evaluate: Evaluate | null;
  /** Of the condition: what it may cost. */
  readonly nodes: number;
  /** The segments that the condition names. */
  readonly references: readonly number[];
  /** The patterns of the condition that take an engine, and their sizes together: what they may cost per character. */
  readonly patterns: readonly Pattern[];
  readonly patternsSize: number;
  /** The moment from which the segment can have members, and the moment from which it cannot. */
  readonly activeFrom: number;
  readonly activeUntil: number;
}

/** A list has neither share nor condition, so its members are those with an override. */
export function isList({ share, condition }: Pick<Definition, 'share' | 'condition'>): boolean {
  return share === null && condition === null;
}

/** A list that is always active: overrides alone decide, at any moment. */
export function isPlainList(definition: Definition): boolean {
  return isList(definition) && isAlwaysActive(definition);
}

export function isAlwaysActive({ activeFrom, activeUntil }: Definition): boolean {
  return activeFrom === -Infinity && activeUntil === Infinity;
}

export function isActive({ activeFrom, activeUntil }: Definition, now: number): boolean {
  return activeFrom <= now && now < activeUntil;
}

/** A ramp as it is stored and as it crosses the wire. */
export interface RampSource {
  readonly from: number;
  readonly to: number;
  readonly starts_at: string;
  readonly ends_at: string;
}

/** A definition as the database stores it. */
export interface DefinitionSource {
  readonly id: number;
  readonly slug: string;
  readonly salt: string;
  readonly percentage: number | null;
  readonly ramp: RampSource | null;
  readonly layer: { readonly salt: string; readonly from: number; readonly to: number } | null;
  readonly bucket_by: string | null;
  readonly condition: JsonObject | null;
  readonly active_from: Date | null;
  readonly active_until: Date | null;
}

export function compileDefinition(source: DefinitionSource): Definition {
  const { id, slug, condition, bucket_by, active_from, active_until } = source;
  const parsed = condition === null ? undefined : parseStoredCondition(condition);
  if (parsed && !parsed.ok)
    throw new Error(`segment ${id} has a condition that cannot be read: ${parsed.errors[0]?.path}`);
  const patterns = parsed ? enginePatterns(parsed.condition) : [];
  return {
    id,
    slug,
    salt: source.salt,
    share: shareOf(source),
    bucketBy: bucket_by === null ? null : bucket_by.split('.'),
    condition: parsed?.condition ?? null,
    evaluate: parsed ? compileCondition(parsed.condition) : null,
    nodes: parsed ? countNodes(parsed.condition) : 0,
    references: parsed ? [...new Set(references(parsed.condition).map(({ segment }) => segment))] : [],
    patterns,
    patternsSize: patterns.reduce((sum, { size }) => sum + size, 0),
    activeFrom: active_from?.getTime() ?? Number.NEGATIVE_INFINITY,
    activeUntil: active_until?.getTime() ?? Number.POSITIVE_INFINITY,
  };
}

function shareOf({ salt, percentage, ramp, layer }: DefinitionSource): Share | null {
  if (percentage !== null) return { kind: 'percentage', salt, percentage };
  if (ramp !== null) return { kind: 'ramp', salt, ramp: compileRamp(ramp) };
  return layer && { kind: 'layer', salt: layer.salt, from: layer.from, to: layer.to };
}

function compileRamp({ from, to, starts_at, ends_at }: RampSource): Ramp {
  return {
    from: Math.round(from * 1_000),
    to: Math.round(to * 1_000),
    startsAt: Date.parse(starts_at),
    endsAt: Date.parse(ends_at),
  };
}
