import { type Definition, isList, isPlainList } from './definition.ts';
import { type CommonShares, commonShares, type Rule, ruleOf } from './rules.ts';

/** All live definitions as they stood at one revision. */
export interface Definitions {
  readonly revision: number;
  readonly byId: ReadonlyMap<number, Definition>;
  readonly bySlug: ReadonlyMap<string, Definition>;
  /** Those that are no lists, each after all that its condition names. */
  readonly dynamic: readonly Definition[];
  /** The same, prepared for deciding about all of them. */
  readonly rules: readonly Rule[];
  /** Those among the dynamic that a condition names: lists are decided when they are asked for. */
  readonly named: ReadonlySet<number>;
  /** Percentages whose buckets are computed together for every user; undefined where they are few. */
  readonly shares: CommonShares | undefined;
  /** Whether all are lists without a start or an end, so that overrides decide alone and at any moment. */
  readonly isPlain: boolean;
  /** Whether anything is decided by attributes. */
  readonly needsAttributes: boolean;
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
  const rules = dynamic.map((definition) => ruleOf(definition, named));
  return {
    revision,
    byId,
    bySlug,
    dynamic,
    rules,
    shares: commonShares(rules),
    named,
    isPlain: [...byId.values()].every(isPlainList),
    needsAttributes: dynamic.some(({ condition, bucketBy }) => condition !== null || bucketBy !== null),
  };
}
