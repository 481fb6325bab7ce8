import type { Condition, Path } from './conditions/condition.ts';
import { compileCondition, type Evaluate } from './conditions/evaluate.ts';
import type { JsonObject } from './conditions/json.ts';
import { parseStoredCondition } from './conditions/parse.ts';
import { countNodes, enginePatterns, references } from './conditions/references.ts';
import type { Pattern } from './conditions/regex.ts';
import { fitsLane, maxSalts, SaltedWords } from './salted-words.ts';
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
  return isList(definition) && definition.activeFrom === -Infinity && definition.activeUntil === Infinity;
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

/** All live definitions as they stood at one revision. */
export interface Definitions {
  readonly revision: number;
  readonly byId: ReadonlyMap<number, Definition>;
  readonly bySlug: ReadonlyMap<string, Definition>;
  /** Those that are no lists, each after all that its condition names. */
  readonly dynamic: readonly Definition[];
  /** Those among the dynamic that a condition names: lists are decided when they are asked for. */
  readonly named: ReadonlySet<number>;
  /** Percentages whose buckets are computed together for every user; undefined where they are few. */
  readonly shares: CommonShares | undefined;
  /** Whether all are lists without a start or an end, so that overrides decide alone and at any moment. */
  readonly isPlain: boolean;
  /** Whether anything is decided by attributes. */
  readonly needsAttributes: boolean;
}

/** Shares that go by the key of the user alone, so that their digests are computed together. */
export interface CommonShares {
  readonly words: SaltedWords;
  /** Where the word of a definition stands, by its id. */
  readonly placeOf: ReadonlyMap<number, number>;
  /** Those among them that never change by time. */
  readonly fixed: readonly FixedShare[];
  /** All other dynamic definitions, in their order. */
  readonly others: readonly Definition[];
}

/** Takes the buckets from `from` up to, but without, `to`. */
export interface FixedShare {
  readonly definition: Definition;
  readonly place: number;
  readonly from: number;
  readonly to: number;
  /** Whether a condition names it. */
  readonly isNamed: boolean;
}

/** Fewer digests are computed one by one in less time. */
const minCommonSalts = 8;

function commonShares(dynamic: readonly Definition[], named: ReadonlySet<number>): CommonShares | undefined {
  const placeOfSalt = new Map<string, number>();
  const placeOf = new Map<number, number>();
  for (const { id, share, condition, bucketBy } of dynamic) {
    if (share === null || condition !== null || bucketBy !== null || !fitsLane(share.salt)) continue;
    const place = placeOfSalt.get(share.salt) ?? placeOfSalt.size;
    if (place === maxSalts) continue;
    placeOfSalt.set(share.salt, place);
    placeOf.set(id, place);
  }
  if (placeOfSalt.size < minCommonSalts) return undefined;
  const fixed = dynamic.flatMap((definition) => fixedShare(definition, placeOf.get(definition.id), named) ?? []);
  const areFixed = new Set(fixed.map(({ definition }) => definition));
  return {
    words: new SaltedWords([...placeOfSalt.keys()]),
    placeOf,
    fixed,
    others: dynamic.filter((definition) => !areFixed.has(definition)),
  };
}

function fixedShare(
  definition: Definition,
  place: number | undefined,
  named: ReadonlySet<number>,
): FixedShare | undefined {
  const { id, share, activeFrom, activeUntil } = definition;
  const isAlwaysActive = activeFrom === Number.NEGATIVE_INFINITY && activeUntil === Number.POSITIVE_INFINITY;
  if (place === undefined || share === null || share.kind === 'ramp' || !isAlwaysActive) return undefined;
  const { from, to } = share.kind === 'layer' ? share : { from: 0, to: share.percentage };
  return { definition, place, from, to, isNamed: named.has(id) };
}

/** The definitions in the order that puts every one after those it names; there are no cycles. */
export function inOrder(byId: ReadonlyMap<number, Definition>, roots: Iterable<Definition>): Definition[] {
  const ordered: Definition[] = [];
  const seen = new Set<number>();
  // By hand instead of by recursion: chains of references may be long.
  const stack: { definition: Definition; expanded: boolean }[] = [];
  for (const root of roots) stack.push({ definition: root, expanded: false });
  stack.reverse();
  for (let top = stack.pop(); top !== undefined; top = stack.pop()) {
    const { definition, expanded } = top;
    if (expanded) {
      ordered.push(definition);
    } else if (!seen.has(definition.id)) {
      seen.add(definition.id);
      stack.push({ definition, expanded: true });
      for (const id of definition.references) {
        const referenced = byId.get(id);
        if (referenced && !seen.has(id)) stack.push({ definition: referenced, expanded: false });
      }
    }
  }
  return ordered;
}

/** Those among the roots, and among all that they name, that name a segment, directly or not; and that segment itself. */
export function dependentsAmong(
  byId: ReadonlyMap<number, Definition>,
  id: number,
  roots: Iterable<Definition>,
): ReadonlySet<number> {
  const dependents = new Set([id]);
  // In this order each comes after all that it names.
  for (const one of inOrder(byId, roots)) {
    if (one.references.some((reference) => dependents.has(reference))) dependents.add(one.id);
  }
  return dependents;
}

export function definitionsOf(revision: number, all: Iterable<Definition>): Definitions {
  const byId = new Map<number, Definition>();
  const bySlug = new Map<string, Definition>();
  for (const definition of all) {
    byId.set(definition.id, definition);
    bySlug.set(definition.slug, definition);
  }
  const dynamic = inOrder(
    byId,
    [...byId.values()].filter((definition) => !isList(definition)),
  ).filter((definition) => !isList(definition));
  const mentioned = new Set(dynamic.flatMap(({ references }) => references));
  const named = new Set(dynamic.flatMap(({ id }) => (mentioned.has(id) ? id : [])));
  return {
    revision,
    byId,
    bySlug,
    dynamic,
    shares: commonShares(dynamic, named),
    named,
    isPlain: [...byId.values()].every(isPlainList),
    needsAttributes: dynamic.some(({ condition, bucketBy }) => condition !== null || bucketBy !== null),
  };
}
