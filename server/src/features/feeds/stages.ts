import type { ChangeCause } from '@kohort/contract';
import type { Steps } from '../../segmentation/decide.ts';
import type { Definitions } from '../../segmentation/definition.ts';
import { causeOfMoment, type TimedSubject } from '../../segmentation/next-moment.ts';
import { type FollowedRule, nextBound } from './rules.ts';

/** A user from a moment on, until the next stage or until now. */
export interface Stage {
  /** Where it stands among all that happened. */
  readonly order: number;
  /** In milliseconds since 1970. */
  readonly at: number;
  /** From when on it is known, where that is later. */
  readonly knownFrom?: number;
  readonly subject: TimedSubject;
  /** Undefined where time alone brought it about. */
  readonly cause: ChangeCause | undefined;
  readonly actor: string;
}

export interface Look {
  readonly order: number;
  readonly isIn: boolean;
  readonly at: number;
  readonly cause: ChangeCause;
  readonly actor: string;
}

export interface Course {
  /** Where the user stood at each stage, and from each moment in between at which time alone may have moved them. */
  readonly looks: readonly Look[];
  /** When to ask again, after now; undefined for never, or where the start or end of a segment comes first. */
  readonly due: number | undefined;
}

/** Times that time alone moves a user between two looks: after a long pause of the service only the state at its end matters. */
const maxMoves = 100;

/** The course of one user in one segment, through stages in their order, up to now. */
export function* courseOf(
  definitions: Definitions,
  rule: FollowedRule,
  stages: readonly Stage[],
  now: number,
): Steps<Course> {
  const looks: Look[] = [];
  let moment = Number.NEGATIVE_INFINITY;
  let next: number | null = null;
  for (const [i, { order, at, knownFrom = at, subject, cause, actor }] of stages.entries()) {
    // What ended a while ago may be recorded late: after what happened since.
    moment = Math.max(moment, knownFrom);
    const until = Math.max(moment, stages[i + 1]?.at ?? now + 1);
    const outlook = yield* rule.lookAhead(subject, moment);
    const causeAt = (when: number) => causeOfMoment(definitions, rule.definition, subject, when);
    looks.push({ order, isIn: outlook.member, at, cause: cause ?? causeAt(at), actor });
    next = outlook.nextMoment;
    for (let moves = 0; next !== null && next < until; moves++) {
      moment = moves < maxMoves ? next : until - 1;
      const { member, nextMoment }: { member: boolean; nextMoment: number | null } = yield* rule.lookAhead(
        subject,
        moment,
      );
      looks.push({ order, isIn: member, at: moment, cause: causeAt(next), actor: 'system' });
      next = nextMoment;
    }
  }
  return { looks, due: next !== null && next < nextBound(rule, now) ? next : undefined };
}
