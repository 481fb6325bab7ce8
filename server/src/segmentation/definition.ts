import type { Condition } from './conditions/condition.ts';
import { compileCondition, type Evaluate } from './conditions/evaluate.ts';
import type { JsonObject } from './conditions/json.ts';
import { parseStoredCondition } from './conditions/parse.ts';
import { enginePatterns, references } from './conditions/references.ts';
import type { Pattern } from './conditions/regex.ts';

/** What decides who is in a segment, beside overrides; compiled once. */
export interface Definition {
  readonly id: number;
  readonly slug: string;
  readonly salt: string;
  readonly percentage: number | null;
  readonly condition: Condition<number> | null;
  readonly evaluate: Evaluate | null;
  /** The segments that the condition names. */
  readonly references: readonly number[];
  /** The patterns of the condition that take an engine, and their sizes together: what they may cost per character. */
  readonly patterns: readonly Pattern[];
  readonly patternsSize: number;
}

/** Neither percentage nor condition: a plain list has nobody but its overrides. */
export function isList({ percentage, condition }: Pick<Definition, 'percentage' | 'condition'>): boolean {
  return percentage === null && condition === null;
}

/** A definition as the database stores it. */
export interface DefinitionSource {
  readonly id: number;
  readonly slug: string;
  readonly salt: string;
  readonly percentage: number | null;
  readonly condition: JsonObject | null;
}

export function compileDefinition({ id, slug, salt, percentage, condition }: DefinitionSource): Definition {
  const parsed = condition === null ? undefined : parseStoredCondition(condition);
  if (parsed && !parsed.ok)
    throw new Error(`segment ${id} has a condition that cannot be read: ${parsed.errors[0]?.path}`);
  const patterns = parsed ? enginePatterns(parsed.condition) : [];
  return {
    id,
    slug,
    salt,
    percentage,
    condition: parsed?.condition ?? null,
    evaluate: parsed ? compileCondition(parsed.condition) : null,
    references: parsed ? [...new Set(references(parsed.condition).map(({ segment }) => segment))] : [],
    patterns,
    patternsSize: patterns.reduce((sum, { size }) => sum + size, 0),
  };
}

/** All live definitions as they stood at one revision. */
export interface Definitions {
  readonly revision: number;
  readonly byId: ReadonlyMap<number, Definition>;
  readonly bySlug: ReadonlyMap<string, Definition>;
  /** Those that are no plain lists, each after all that its condition names. */
  readonly dynamic: readonly Definition[];
  /** Whether any condition has to be put to attributes. */
  readonly hasConditions: boolean;
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
  return { revision, byId, bySlug, dynamic, hasConditions: dynamic.some(({ condition }) => condition !== null) };
}
