import { Turns } from '../../concurrency/turns.ts';
import { type Decision, decideEach, decideOne, type Subject } from '../../segmentation/decide.ts';
import { type Definition, type Definitions, isActive, isList } from '../../segmentation/definition.ts';
import { modesOf, readStanding, type StateOfUser } from '../memberships/memberships.ts';
import { unknownSegment } from '../segments/segments.ts';
import type { EvaluationContext } from './context.ts';

/** Who asks: what that changes about an answer. */
export interface Evaluator {
  /** Server credentials may put the context over the stored attributes; browsers, whose word proves nothing, may not. */
  readonly mayOverride: boolean;
}

export interface Evaluation {
  readonly key: string;
  readonly value: boolean;
  readonly variant: 'member' | 'not_member';
  readonly reason: 'STATIC' | 'SPLIT' | 'TARGETING_MATCH' | 'DEFAULT';
  readonly metadata: Record<string, never>;
}

/** A user as one evaluation sees them, at the moment of the statement that read them. */
interface Evaluated {
  readonly subject: Subject;
  readonly definitions: Definitions;
  readonly now: number;
}

const noOverrides: Subject['overrides'] = new Map();

async function read(
  stateOf: StateOfUser,
  { targetingKey, attributes }: EvaluationContext,
  { mayOverride }: Evaluator,
  turns: Turns,
): Promise<Evaluated> {
  const { user, definitions, now } = await stateOf({ externalId: targetingKey });
  if (!user) return { subject: { key: targetingKey, attributes, overrides: noOverrides }, definitions, now };
  const overrides = modesOf(await turns.take(readStanding(user.overrides)));
  const merged = mayOverride ? { ...user.attributes, ...attributes } : user.attributes;
  return { subject: { key: targetingKey, attributes: merged, overrides }, definitions, now };
}

/** What decided, in OpenFeature's words. */
function reasonOf(definition: Definition, { member, source, matched }: Decision, now: number): Evaluation['reason'] {
  if (!isActive(definition, now)) return 'DEFAULT';
  if (source === 'include' || source === 'exclude' || isList(definition)) return 'STATIC';
  // Where the condition did not keep the user out, the share has the last word.
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

/** @throws Problem 404 for a slug that names no segment. */
export async function evaluateFlag(
  stateOf: StateOfUser,
  slug: string,
  context: EvaluationContext,
  evaluator: Evaluator,
): Promise<Evaluation> {
  const turns = new Turns();
  const { subject, definitions, now } = await read(stateOf, context, evaluator, turns);
  const definition = definitions.bySlug.get(slug);
  if (!definition) throw unknownSegment(slug);
  return evaluationOf(definition, await turns.take(decideOne(definitions, definition, subject, now)), now);
}

/** All flags whose segments the caller sees, each as JSON of its own, sorted by key. */
export async function evaluateFlags(
  stateOf: StateOfUser,
  seenBy: (segmentIds: readonly number[]) => Promise<ReadonlySet<number>>,
  context: EvaluationContext,
  evaluator: Evaluator,
): Promise<string[]> {
  const turns = new Turns();
  const { subject, definitions, now } = await read(stateOf, context, evaluator, turns);
  const seen = await seenBy([...definitions.byId.keys()]);
  const steps = decideEach(definitions, subject, now, ({ id }) => seen.has(id));
  const verdicts = await turns.take(steps);
  const sorted = verdicts.toSorted((a, b) => (a.definition.slug < b.definition.slug ? -1 : 1));
  const flags: string[] = [];
  for (const { definition, ...decision } of sorted) {
    flags.push(JSON.stringify(evaluationOf(definition, decision, now)));
    if (turns.isOver) await turns.pause();
  }
  return flags;
}
