import { bucket } from './bucket.ts';
import type { JsonObject } from './conditions/json.ts';
import { type Definition, type Definitions, inOrder, isList } from './definition.ts';

export type Mode = 'include' | 'exclude';
export type Source = Mode | 'percentage' | 'condition' | 'percentage+condition' | 'none';

/** Everything about a user that decides what they are in. */
export interface Subject {
  /** What the bucket is computed of: the external id, else the decimal id. */
  readonly key: string;
  readonly attributes: JsonObject;
  /** The mode of each override that stands, by segment. */
  readonly overrides: ReadonlyMap<number, Mode>;
}

export interface Decision {
  readonly member: boolean;
  readonly source: Source;
}

export function keyOf(user: { readonly id: number; readonly external_id: string | null }): string {
  return user.external_id ?? String(user.id);
}

/** What the rule of a dynamic segment says, overrides aside. */
function ruleSays(
  { percentage, salt, evaluate }: Definition,
  subject: Subject,
  inSegment: (id: number) => boolean,
): boolean {
  // The condition first: it is the cheaper of the two.
  if (evaluate && !evaluate(subject.attributes, inSegment)) return false;
  return percentage === null || bucket(salt, subject.key) < percentage;
}

/** By which of its rules a segment lets in those whom no override decides about; `none` for a plain list. */
export function ruleSource({ percentage, condition }: Pick<Definition, 'percentage' | 'condition'>): Source {
  if (percentage === null) return condition === null ? 'none' : 'condition';
  return condition === null ? 'percentage' : 'percentage+condition';
}

const UNDECIDED: ReadonlyMap<number, boolean> = new Map();

/**
 * Decides who is in: an override that stands, else nobody in a plain list, else whoever percentage and condition both
 * let in. Asked for the segments of `ordered` in turn, each after those that its condition names.
 */
function decideInOrder(
  definitions: Definitions,
  ordered: readonly Definition[],
  subject: Subject,
): ReadonlyMap<number, boolean> {
  if (ordered.length === 0) return UNDECIDED;
  const decided = new Map<number, boolean>();
  const inSegment = (id: number): boolean => {
    const known = decided.get(id);
    if (known !== undefined) return known;
    return definitions.byId.has(id) && subject.overrides.get(id) === 'include';
  };
  for (const definition of ordered) {
    const mode = subject.overrides.get(definition.id);
    decided.set(
      definition.id,
      mode === undefined ? !isList(definition) && ruleSays(definition, subject, inSegment) : mode === 'include',
    );
  }
  return decided;
}

/** Every segment the subject is in, with the reason, in no order. */
export function decideAll(definitions: Definitions, subject: Subject): { definition: Definition; source: Source }[] {
  const found: { definition: Definition; source: Source }[] = [];
  for (const [id, mode] of subject.overrides) {
    const definition = definitions.byId.get(id);
    if (definition && mode === 'include') found.push({ definition, source: mode });
  }
  if (definitions.dynamic.length > 0) {
    const decided = decideInOrder(definitions, definitions.dynamic, subject);
    for (const definition of definitions.dynamic) {
      if (decided.get(definition.id) && !subject.overrides.has(definition.id)) {
        found.push({ definition, source: ruleSource(definition) });
      }
    }
  }
  return found;
}

export type Decide = (subject: Subject) => Decision & { readonly matched: boolean | null };

/** For one segment: who is in, with the reason, and what its condition says whether or not an override decides. */
export function deciderOf(definitions: Definitions, definition: Definition): Decide {
  const before = inOrder(definitions.byId, [definition]).slice(0, -1);
  const { percentage, evaluate, salt } = definition;
  const source = ruleSource(definition);

  return (subject) => {
    const decided = decideInOrder(definitions, before, subject);
    const matched = evaluate ? evaluate(subject.attributes, (id) => decided.get(id) ?? false) : null;
    const mode = subject.overrides.get(definition.id);
    if (mode) return { member: mode === 'include', source: mode, matched };
    const member =
      source !== 'none' && matched !== false && (percentage === null || bucket(salt, subject.key) < percentage);
    return { member, source: member ? source : 'none', matched };
  };
}

export function decideOne(definitions: Definitions, definition: Definition, subject: Subject): ReturnType<Decide> {
  return deciderOf(definitions, definition)(subject);
}

const NONE: ReadonlyMap<number, Mode> = new Map();

/** `{12,-15}`, as statements of the hot kind return the overrides that stand: negative for an exclude. */
export function readOverrides(text: string | null): ReadonlyMap<number, Mode> {
  if (text === null || text === '{}') return NONE;
  const overrides = new Map<number, Mode>();
  for (const one of text.slice(1, -1).split(',')) {
    const segment = Number(one);
    overrides.set(Math.abs(segment), segment > 0 ? 'include' : 'exclude');
  }
  return overrides;
}
