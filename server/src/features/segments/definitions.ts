import type { Db } from '../../postgres/database.ts';
import type { Condition } from '../conditions/condition.ts';
import { compileCondition, type Evaluate } from '../conditions/evaluate.ts';
import { parseStoredCondition } from '../conditions/parse.ts';
import { references } from '../conditions/segments.ts';
import { type SegmentRow, selectChangedSince } from './segments.sql.ts';

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
}

/** Neither percentage nor condition: a plain list has nobody but its overrides. */
export function isList({ percentage, condition }: Pick<Definition, 'percentage' | 'condition'>): boolean {
  return percentage === null && condition === null;
}

export type DefinitionSource = Pick<SegmentRow, 'id' | 'slug' | 'salt' | 'percentage' | 'condition'>;

export function compileDefinition({ id, slug, salt, percentage, condition }: DefinitionSource): Definition {
  const parsed = condition === null ? undefined : parseStoredCondition(condition);
  if (parsed && !parsed.ok)
    throw new Error(`segment ${id} has a condition that cannot be read: ${parsed.errors[0]?.path}`);
  return {
    id,
    slug,
    salt,
    percentage,
    condition: parsed?.condition ?? null,
    evaluate: parsed ? compileCondition(parsed.condition) : null,
    references: parsed ? [...new Set(references(parsed.condition).map(({ segment }) => segment))] : [],
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

/** Keeps the definitions compiled in memory under their revision. Whoever reads a newer revision asks for that one. */
export interface DefinitionCache {
  readonly current: () => Definitions;
  /** At least this revision. */
  readonly at: (revision: number) => Promise<Definitions>;
  /** No older than this call. */
  readonly fresh: () => Promise<Definitions>;
}

export function createDefinitionCache(db: Db): DefinitionCache {
  let current = definitionsOf(-1, []);
  let refreshing: Promise<Definitions> | undefined;

  async function refresh(): Promise<Definitions> {
    // Only what changed is read again; a fresh start reads everything, since every revision is above -1.
    const { revision, segments } = await selectChangedSince(db, current.revision);
    if (revision !== current.revision) {
      const byId = new Map(current.byId);
      for (const segment of segments) {
        if (segment.deleted_at) byId.delete(segment.id);
        else byId.set(segment.id, compileDefinition(segment));
      }
      current = definitionsOf(revision, byId.values());
    }
    return current;
  }

  function startRefresh(): Promise<Definitions> {
    refreshing = refresh().finally(() => {
      refreshing = undefined;
    });
    return refreshing;
  }

  return {
    current: () => current,
    async at(revision) {
      while (current.revision < revision) await (refreshing ?? startRefresh());
      return current;
    },
    async fresh() {
      // One that is under way may have read before this call began: wait for it, then read again.
      await refreshing?.catch(() => undefined);
      return refreshing ?? startRefresh();
    },
  };
}
