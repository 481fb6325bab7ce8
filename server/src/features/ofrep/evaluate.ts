import type { AtMost } from '../../concurrency/at-most.ts';
import { Turns } from '../../concurrency/turns.ts';
import type { Caller } from '../../http/caller.ts';
import type { JsonObject } from '../../segmentation/conditions/json.ts';
import { decideEach, decideOne } from '../../segmentation/decide.ts';
import type { Decision } from '../../segmentation/deciding.ts';
import { type Definition, isActive, isList } from '../../segmentation/definition.ts';
import type { Definitions } from '../../segmentation/definitions.ts';
import type { Subject } from '../../segmentation/subject.ts';
import {
  type Asker,
  answerTooLarge,
  largeEntries,
  maxAnswerBytes,
  modesOf,
  type PairOf,
  type ReadContext,
  readStanding,
  type SeenPair,
  type SeenUser,
  type StateOfUser,
} from '../memberships/memberships.ts';
import { unknownSegment } from '../segments/segments.ts';
import type { EvaluationContext } from './context.ts';

/** The properties of a caller that affect an answer. */
export interface Evaluator {
  /** Whether the context overrides stored attributes: for server credentials, not for browsers, which cannot be trusted. */
  readonly mayOverride: boolean;
}

export function evaluatorOf({ role }: Caller): Evaluator {
  return { mayOverride: role !== 'browser' };
}

export interface Evaluation {
  readonly key: string;
  readonly value: boolean;
  readonly variant: 'member' | 'not_member';
  readonly reason: 'STATIC' | 'SPLIT' | 'TARGETING_MATCH' | 'DEFAULT';
  readonly metadata: Record<string, never>;
}

/** A user as read for one evaluation, with the time of the statement. */
interface Evaluated {
  readonly subject: Subject;
  readonly definitions: Definitions;
  readonly now: number;
}

const noOverrides: Subject['overrides'] = new Map();

/** The attributes of a user (undefined for an unknown one) merged with the context. */
function merged(stored: JsonObject | undefined, context: JsonObject, mayOverride: boolean): JsonObject {
  if (!stored) return context;
  return mayOverride ? { ...stored, ...context } : stored;
}

async function evaluated(
  { user, definitions, now }: SeenUser,
  { targetingKey, attributes }: EvaluationContext,
  { mayOverride }: Evaluator,
  turns: Turns,
): Promise<Evaluated> {
  if (!user) return { subject: { key: targetingKey, attributes, overrides: noOverrides }, definitions, now };
  const overrides = modesOf(await turns.take(readStanding(user.overrides)));
  const subject = { key: targetingKey, attributes: merged(user.attributes, attributes, mayOverride), overrides };
  return { subject, definitions, now };
}

/** The deciding part, as a reason of OpenFeature. */
function reasonOf(definition: Definition, { member, source, matched }: Decision, now: number): Evaluation['reason'] {
  if (!isActive(definition, now)) return 'DEFAULT';
  if (source === 'include' || source === 'exclude' || isList(definition)) return 'STATIC';
  // If the condition did not exclude the user, the share decided.
  if (definition.share !== null && matched !== false) return 'SPLIT';
  return member ? 'TARGETING_MATCH' : 'DEFAULT';
}

function evaluationOf(definition: Definition, decision: Decision, now: number): Evaluation {
  return {
    key: definition.slug,
    value: decision.member,
    variant: decision.member ? 'member' : 'not_member',
    reason: reasonOf(definition, decision, now),
    metadata: {},
  };
}

export interface FlagContext {
  readonly definitions: ReadContext['definitions'];
  readonly pairOf: PairOf;
  readonly stateOf: StateOfUser;
}

/** @throws Problem 404 for an unknown slug. */
export async function evaluateFlag(
  flags: FlagContext,
  slug: string,
  context: EvaluationContext,
  evaluator: Evaluator,
): Promise<Evaluation> {
  if (!namesOthers(flags.definitions.current.bySlug.get(slug))) {
    const pair = await flags.pairOf({ externalId: context.targetingKey, slug });
    if (!pair.definition) throw unknownSegment(slug);
    // A condition changed meanwhile may name other segments.
    if (!namesOthers(pair.definition))
      return evaluatePair({ ...pair, definition: pair.definition }, context, evaluator);
  }
  return evaluateByState(flags.stateOf, slug, context, evaluator);
}

function namesOthers(definition: Definition | undefined): boolean {
  return definition !== undefined && definition.references.length > 0;
}

async function evaluatePair(
  { definitions, definition, now, mode, attributes: stored }: SeenPair & { readonly definition: Definition },
  { targetingKey, attributes }: EvaluationContext,
  { mayOverride }: Evaluator,
): Promise<Evaluation> {
  if (isList(definition)) {
    const member = mode === 'include' && isActive(definition, now);
    return evaluationOf(definition, { member, source: mode ?? 'none', matched: null }, now);
  }
  const subject = {
    key: targetingKey,
    attributes: merged(stored ?? undefined, attributes, mayOverride),
    overrides: mode === null ? noOverrides : new Map([[definition.id, mode]]),
  };
  return evaluationOf(definition, await new Turns().take(decideOne(definitions, definition, subject, now)), now);
}

/** If the condition names other segments, all overrides of the user may matter. */
async function evaluateByState(
  stateOf: StateOfUser,
  slug: string,
  context: EvaluationContext,
  evaluator: Evaluator,
): Promise<Evaluation> {
  const turns = new Turns();
  const state = await stateOf({ externalId: context.targetingKey });
  const { subject, definitions, now } = await evaluated(state, context, evaluator, turns);
  const definition = definitions.bySlug.get(slug);
  if (!definition) throw unknownSegment(slug);
  return evaluationOf(definition, await turns.take(decideOne(definitions, definition, subject, now)), now);
}

/** All flags whose segments the caller sees, each serialized to JSON, sorted by key. */
export async function evaluateFlags(
  { stateOf, largeAnswers }: { readonly stateOf: StateOfUser; readonly largeAnswers: AtMost },
  context: EvaluationContext,
  asker: Evaluator & Asker,
): Promise<string[]> {
  const state = await stateOf({ externalId: context.targetingKey });
  const isLarge = state.definitions.byId.size > largeEntries;
  const build = () => flagsFor(state, context, asker);
  return isLarge ? largeAnswers.run(build, asker.caller) : build();
}

async function flagsFor(
  state: SeenUser,
  context: EvaluationContext,
  { seenBy, ...evaluator }: Evaluator & Asker,
): Promise<string[]> {
  const turns = new Turns();
  const { subject, definitions, now } = await evaluated(state, context, evaluator, turns);
  const seen = await seenBy([...definitions.byId.keys()]);
  const steps = decideEach(definitions, subject, now, ({ id }) => seen.has(id));
  const verdicts = await turns.take(steps);
  if (turns.isOver) await turns.pause();
  const sorted = verdicts.toSorted((a, b) => (a.definition.slug < b.definition.slug ? -1 : 1));
  const flags: string[] = [];
  let bytes = 0;
  for (const { definition, ...decision } of sorted) {
    const flag = JSON.stringify(evaluationOf(definition, decision, now));
    flags.push(flag);
    bytes += flag.length;
    if (bytes > maxAnswerBytes) throw answerTooLarge();
    if (turns.isOver) await turns.pause();
  }
  return flags;
}
