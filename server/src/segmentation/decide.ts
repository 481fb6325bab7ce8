import { Deciding, type Decision } from './deciding.ts';
import { type Definition, isList } from './definition.ts';
import { type Definitions, inOrder } from './definitions.ts';
import type { Membership } from './membership.ts';
import type { Steps } from './steps.ts';
import type { Subject } from './subject.ts';

export interface Decided {
  /** Every segment the subject is in, in no order. */
  readonly memberships: readonly Membership[];
  /** The first later moment, in milliseconds since 1970, at which time alone may change that. */
  readonly holdsUntil: number;
}

/** Decides about all segments at a moment, in milliseconds since 1970. */
export function* decideAll(definitions: Definitions, subject: Subject, now: number): Steps<Decided> {
  const memberships: Membership[] = [];
  const deciding = new Deciding(definitions, subject, now);
  let overridesRules = false;
  subject.overrides.forEach((mode, id) => {
    const definition = definitions.byId.get(id);
    if (!definition) return;
    if (!isList(definition)) overridesRules = true;
    if (mode === 'include' && deciding.isActive(definition)) memberships.push({ definition, source: mode });
  });
  if (!overridesRules) deciding.expectNoOverriddenRule();
  const left = deciding.decideShares(memberships);
  for (let at = 0; at < left.length; ) {
    const first = left[at];
    if (first && deciding.needsMatchingAhead(first.definition)) yield* deciding.matchAhead(first.definition);
    at = deciding.decideStep(left, at, memberships);
    if (at < left.length) yield;
  }
  return { memberships, holdsUntil: deciding.holdsUntil };
}

export type Decide = (subject: Subject, now: number) => Steps<Decision>;

/** Decides about all that the condition of a segment names, directly or not, and leaves the segment itself to the caller. */
function preparerOf(definitions: Definitions, definition: Definition) {
  const before = inOrder(definitions.byId, [definition]).slice(0, -1);

  return function* (subject: Subject, now: number): Steps<Deciding> {
    const deciding = new Deciding(definitions, subject, now);
    for (const one of before) {
      if (deciding.needsMatchingAhead(one)) yield* deciding.matchAhead(one);
      deciding.decideNamed(one);
      yield;
    }
    if (deciding.needsMatchingAhead(definition)) yield* deciding.matchAhead(definition);
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

export interface LastingDecision {
  readonly member: boolean;
  /** The first later moment, in milliseconds since 1970, at which time alone may change that. */
  readonly holdsUntil: number;
}

/** Decides about one segment without the reason, and says until when that holds. */
export function lastingDeciderOf(
  definitions: Definitions,
  definition: Definition,
): (subject: Subject, now: number) => Steps<LastingDecision> {
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
  deciding.computeBuckets();
  const verdicts: Verdict[] = [];
  const decided = new Set<number>();
  // All that have a rule, wanted or not: others may name them.
  for (const definition of definitions.dynamic) {
    if (deciding.needsMatchingAhead(definition)) yield* deciding.matchAhead(definition);
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
