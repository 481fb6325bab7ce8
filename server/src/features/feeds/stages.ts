import type { ChangeCause } from '@kohort/contract';
import type { Definitions } from '../../segmentation/definitions.ts';
import { causeOfMoment, type TimedSubject } from '../../segmentation/next-moment.ts';
import type { Steps } from '../../segmentation/steps.ts';
import { type FollowedRule, nextBound } from './rules.ts';

/** The state of a user from a moment on, until the next stage or until now. */
export interface Stage {
  /** Its position among all events. */
  readonly order: number;
  /** In milliseconds since 1970. */
  readonly at: number;
  /** When it became known, if later than `at`. */
  readonly knownFrom?: number;
  readonly subject: TimedSubject;
  /** Undefined if time alone caused it. */
  readonly cause: ChangeCause | undefined;
  readonly actor: string;
}

export interface Evaluation {
  readonly order: number;
  readonly isIn: boolean;
  readonly at: number;
  readonly cause: ChangeCause;
  readonly actor: string;
}

export interface Course {
  /** Whether the user was in at each stage, and at each moment in between when time alone may have moved them. */
  readonly evaluations: readonly Evaluation[];
  /** When to evaluate again, after now; undefined for never, or if the start or end of a segment comes first. */
  readonly due: number | undefined;
}

/** The most moves by time alone between two evaluations: after a long outage only the final state matters. */
const maxMoves = 100;

/** The course of one user in one segment, through ordered stages, up to now. */
export function* courseOf(
  definitions: Definitions,
  rule: FollowedRule,
  stages: readonly Stage[],
  now: number,
): Steps<Course> {
  const evaluations: Evaluation[] = [];
  let moment = Number.NEGATIVE_INFINITY;
  let next: number | null = null;
  for (const [i, { order, at, knownFrom = at, subject, cause, actor }] of stages.entries()) {
    // An expiry may be recorded late, after events that happened since.
    moment = Math.max(moment, knownFrom);
    const until = Math.max(moment, stages[i + 1]?.at ?? now + 1);
    const outlook = yield* rule.lookAhead(subject, moment);
    const causeAt = (when: number) => causeOfMoment(definitions, rule.definition, subject, when);
    evaluations.push({ order, isIn: outlook.member, at, cause: cause ?? causeAt(at), actor });
    next = outlook.nextMoment;
    for (let moves = 0; next !== null && next < until; moves++) {
      moment = moves < maxMoves ? next : until - 1;
      const { member, nextMoment }: { member: boolean; nextMoment: number | null } = yield* rule.lookAhead(
        subject,
        moment,
      );
      evaluations.push({ order, isIn: member, at: moment, cause: causeAt(next), actor: 'system' });
      next = nextMoment;
    }
  }
  return { evaluations, due: next !== null && next < nextBound(rule, now) ? next : undefined };
}
