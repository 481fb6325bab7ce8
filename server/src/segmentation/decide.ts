import { isObject } from '@kohort/contract';
import { bucket } from './bucket.ts';
import { Evaluation } from './conditions/evaluation.ts';
import { isArray, type Json, type JsonObject } from './conditions/json.ts';
import { type Definition, type Definitions, inOrder, isActive, isList } from './definition.ts';
import { changesMindAt, takesBucket } from './share.ts';

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

/** A decision in steps, none of them long. Between two steps the caller may give others their turn. */
export type Steps<T> = Generator<void, T, void>;

/** Takes all steps at once. */
export function inOneGo<T>(steps: Steps<T>): T {
  for (;;) {
    const { done, value } = steps.next();
    if (done) return value;
  }
}

export function keyOf(user: { readonly id: number; readonly external_id: string | null }): string {
  return user.external_id ?? String(user.id);
}

/** By which of its rules a segment lets in those whom no override decides about; `none` for a list. */
export function ruleSource({ share, condition }: Pick<Definition, 'share' | 'condition'>): Source {
  if (share === null) return condition === null ? 'none' : 'condition';
  return condition === null ? 'percentage' : 'percentage+condition';
}

/** The key that a user's bucket in a segment is computed of; undefined for a user who has none, and is out. */
function bucketKey({ bucketBy }: Definition, { key, attributes }: Omit<Subject, 'overrides'>): string | undefined {
  if (bucketBy === null) return key;
  let value: Json | undefined = attributes;
  for (const name of bucketBy) value = isObject(value) && Object.hasOwn(value, name) ? value[name] : undefined;
  if (typeof value === 'string') return value;
  return typeof value === 'number' ? JSON.stringify(value) : undefined;
}

/** The bucket of a user in a segment; null where the segment takes no share, or the user has no key for it. */
export function bucketOf(definition: Definition, subject: Omit<Subject, 'overrides'>): number | null {
  const key = definition.share === null ? undefined : bucketKey(definition, subject);
  return definition.share === null || key === undefined ? null : bucket(definition.share.salt, key);
}

/** What has been decided about one user so far. Segments are asked for in turn, each after those that its condition names. */
class Deciding {
  readonly #definitions: Definitions;
  readonly #subject: Subject;
  readonly #evaluation: Evaluation;
  readonly #decided = new Map<number, boolean>();
  #texts: readonly string[] | undefined;

  constructor(definitions: Definitions, subject: Subject, now: number) {
    this.#definitions = definitions;
    this.#subject = subject;
    this.#evaluation = new Evaluation(now, (id) => this.#isIn(id));
  }

  get holdsUntil(): number {
    return this.#evaluation.holdsUntil;
  }

  #isIn(id: number): boolean {
    const known = this.#decided.get(id);
    if (known !== undefined) return known;
    const definition = this.#definitions.byId.get(id);
    return definition !== undefined && this.#subject.overrides.get(id) === 'include' && this.isActive(definition);
  }

  isActive(definition: Definition): boolean {
    this.#evaluation.changesAt(definition.activeFrom);
    this.#evaluation.changesAt(definition.activeUntil);
    return isActive(definition, this.#evaluation.now);
  }

  /**
   * Out before its start and after its end. Otherwise an override that stands decides. Without one a list is out, and a rule
   * needs both its share and its condition to say yes.
   */
  decide(definition: Definition): boolean {
    const member = this.isActive(definition) && this.#isInWhileActive(definition);
    this.#decided.set(definition.id, member);
    return member;
  }

  #isInWhileActive(definition: Definition): boolean {
    const mode = this.#subject.overrides.get(definition.id);
    if (mode !== undefined) return mode === 'include';
    // The condition first: it is the cheaper of the two.
    return !isList(definition) && this.meetsCondition(definition) !== false && this.isInShare(definition);
  }

  /** The same with the reason. */
  explain(definition: Definition): Decision {
    const matched = this.meetsCondition(definition);
    const { member, source } = this.#sourceOf(definition, matched);
    this.#decided.set(definition.id, member);
    return { member, source, matched };
  }

  #sourceOf(definition: Definition, matched: boolean | null): Omit<Decision, 'matched'> {
    if (!this.isActive(definition)) return { member: false, source: 'none' };
    const mode = this.#subject.overrides.get(definition.id);
    if (mode) return { member: mode === 'include', source: mode };
    const member = !isList(definition) && matched !== false && this.isInShare(definition);
    return { member, source: member ? ruleSource(definition) : 'none' };
  }

  /** Null for a definition without a condition. */
  meetsCondition({ evaluate }: Definition): boolean | null {
    return evaluate?.(this.#subject.attributes, this.#evaluation) ?? null;
  }

  isInShare(definition: Definition): boolean {
    const { share } = definition;
    if (share === null) return true;
    const ofBucket = bucketOf(definition, this.#subject);
    if (ofBucket === null) return false;
    this.#evaluation.changesAt(changesMindAt(share, ofBucket));
    return takesBucket(share, ofBucket, this.#evaluation.now);
  }

  /** Matches the patterns of a condition one a step, where all of them together would make a long one. */
  *matchAhead({ patterns, patternsSize }: Definition): Steps<void> {
    this.#texts ??= textsIn(this.#subject.attributes);
    const length = this.#texts.reduce((sum, text) => sum + text.length, 0);
    if (length * patternsSize <= maxStepMatching) return;
    for (const pattern of patterns) {
      for (const text of this.#texts) this.#evaluation.matchAhead(pattern, text);
      yield;
    }
  }
}

/** Patterns whose matching could take more than this, as text times program, are matched one a step. */
const maxStepMatching = 200_000;

/** Every text in the attributes, at whatever depth. */
function textsIn(attributes: JsonObject): string[] {
  const texts: string[] = [];
  const stack: Json[] = [attributes];
  for (let value = stack.pop(); value !== undefined; value = stack.pop()) {
    if (typeof value === 'string') texts.push(value);
    else if (isArray(value)) stack.push(...value);
    else if (isObject(value)) stack.push(...Object.values(value));
  }
  return texts;
}

export interface Membership {
  readonly definition: Definition;
  readonly source: Source;
}

export interface Decided {
  /** Every segment the subject is in, in no order. */
  readonly memberships: readonly Membership[];
  /** The first later moment, in milliseconds since 1970, at which time alone may change that. */
  readonly holdsUntil: number;
}

/** Segments without a condition in one step: each takes about a microsecond, and a step costs a look at the clock. */
const stepShares = 64;

/** Decides about all segments at a moment, in milliseconds since 1970. */
export function* decideAll(definitions: Definitions, subject: Subject, now: number): Steps<Decided> {
  const memberships: Membership[] = [];
  const deciding = new Deciding(definitions, subject, now);
  for (const [id, mode] of subject.overrides) {
    const definition = definitions.byId.get(id);
    if (definition && mode === 'include' && deciding.isActive(definition))
      memberships.push({ definition, source: mode });
  }
  let shares = 0;
  for (const definition of definitions.dynamic) {
    if (definition.patterns.length > 0) yield* deciding.matchAhead(definition);
    if (deciding.decide(definition) && !subject.overrides.has(definition.id)) {
      memberships.push({ definition, source: ruleSource(definition) });
    }
    if (definition.condition !== null || ++shares % stepShares === 0) yield;
  }
  return { memberships, holdsUntil: deciding.holdsUntil };
}

export interface Decision {
  readonly member: boolean;
  readonly source: Source;
  /** What the condition says, whether or not an override decides. */
  readonly matched: boolean | null;
}

export type Decide = (subject: Subject, now: number) => Steps<Decision>;

/** Decides about all that the condition of a segment names, directly or not, and leaves the segment itself to the caller. */
function preparerOf(definitions: Definitions, definition: Definition) {
  const before = inOrder(definitions.byId, [definition]).slice(0, -1);

  return function* (subject: Subject, now: number): Steps<Deciding> {
    const deciding = new Deciding(definitions, subject, now);
    for (const one of before) {
      if (one.patterns.length > 0) yield* deciding.matchAhead(one);
      deciding.decide(one);
      yield;
    }
    if (definition.patterns.length > 0) yield* deciding.matchAhead(definition);
    return deciding;
  };
}

/** Decides about one segment. */
export function deciderOf(definitions: Definitions, definition: Definition): Decide {
  const prepare = preparerOf(definitions, definition);
  return function* (subject, now) {
    return (yield* prepare(subject, now)).explain(definition);
  };
}

export interface Held {
  readonly member: boolean;
  /** The first later moment, in milliseconds since 1970, at which time alone may change that. */
  readonly holdsUntil: number;
}

/** Decides about one segment without the reason, and says until when that holds. */
export function heldDeciderOf(
  definitions: Definitions,
  definition: Definition,
): (subject: Subject, now: number) => Steps<Held> {
  const prepare = preparerOf(definitions, definition);
  return function* (subject, now) {
    const deciding = yield* prepare(subject, now);
    const member = deciding.decide(definition);
    return { member, holdsUntil: deciding.holdsUntil };
  };
}

export function decideOne(
  definitions: Definitions,
  definition: Definition,
  subject: Subject,
  now: number,
): Steps<Decision> {
  return deciderOf(definitions, definition)(subject, now);
}

export interface Verdict extends Decision {
  readonly definition: Definition;
}

/** Decides about every segment that is wanted, in or out, with the reason; in no order. */
export function* decideEach(
  definitions: Definitions,
  subject: Subject,
  now: number,
  isWanted: (definition: Definition) => boolean,
): Steps<Verdict[]> {
  const deciding = new Deciding(definitions, subject, now);
  const verdicts: Verdict[] = [];
  const decided = new Set<number>();
  // All that have a rule, wanted or not: others may name them.
  for (const definition of definitions.dynamic) {
    if (definition.patterns.length > 0) yield* deciding.matchAhead(definition);
    decided.add(definition.id);
    const decision = deciding.explain(definition);
    if (isWanted(definition)) verdicts.push({ definition, ...decision });
    yield;
  }
  for (const definition of definitions.byId.values()) {
    if (decided.has(definition.id) || !isWanted(definition)) continue;
    verdicts.push({ definition, ...deciding.explain(definition) });
    if (verdicts.length % stepVerdicts === 0) yield;
  }
  return verdicts;
}

/** Verdicts about plain lists in one step. */
const stepVerdicts = 256;

const noOverrides: ReadonlyMap<number, Mode> = new Map();

/** `{12,-15}`, as the statements of the fast path return the overrides that stand: negative for an exclude. */
export function readOverrides(text: string | null): ReadonlyMap<number, Mode> {
  if (text === null || text === '{}') return noOverrides;
  const overrides = new Map<number, Mode>();
  for (const one of text.slice(1, -1).split(',')) {
    const segment = Number(one);
    overrides.set(Math.abs(segment), segment > 0 ? 'include' : 'exclude');
  }
  return overrides;
}
