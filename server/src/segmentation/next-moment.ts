import { type LastingDecision, lastingDeciderOf } from './decide.ts';
import type { Definition } from './definition.ts';
import { type Definitions, inOrder } from './definitions.ts';
import type { Mode } from './overrides.ts';
import { changesMindAt } from './share.ts';
import type { Steps } from './steps.ts';
import { bucketOf, type Subject } from './subject.ts';

export interface TimedOverride {
  readonly mode: Mode;
  /** The moment from which it is as if it were not there, in milliseconds since 1970; infinite for one that never ends. */
  readonly expiresAt: number;
}

/** A user as of one moment and of every later one, as long as nothing but time changes. */
export interface TimedSubject extends Omit<Subject, 'overrides'> {
  /** By segment. Those that have ended are as if they were not there. */
  readonly overrides: ReadonlyMap<number, TimedOverride>;
}

export interface Outlook {
  readonly member: boolean;
  /**
   * The next moment at which that could change, in milliseconds since 1970; null for never. It does change then, unless it
   * takes more than {@link maxMoments} moments to find out: then it is a moment to ask again at.
   */
  readonly nextMoment: number | null;
}

export type LookAhead = (subject: TimedSubject, from: number) => Steps<Outlook>;

/** Moments that are tried before the last one is returned as it is. Most subjects have one or two. */
export const maxMoments = 32;

/** Moments past the year 9999 never come: no time of use, and none that the database holds, lies beyond. */
const lastMoment = Date.parse('9999-12-31T23:59:59.999Z');

/**
 * Looks ahead for one segment: whether a user is in, and when time alone changes that. A decision notes the first moment at
 * which anything that it looked at gives another answer: expiry, start, end, ramp, relative date, in the segment or in one that its
 * condition names. Until then it would look at the same and decide the same. Whether it decides otherwise at that moment is found
 * by deciding again, so that a moment which makes no difference (one of two dates in an `$or`) wakes up no one.
 */
export function lookAheadOf(definitions: Definitions, definition: Definition): LookAhead {
  const decide = lastingDeciderOf(definitions, definition);
  const involved = new Set(inOrder(definitions.byId, [definition]).map(({ id }) => id));

  function* decideAt(subject: TimedSubject, moment: number): Steps<LastingDecision> {
    const overrides = new Map<number, Mode>();
    let firstExpiry = Number.POSITIVE_INFINITY;
    for (const [segment, { mode, expiresAt }] of subject.overrides) {
      if (expiresAt <= moment || !involved.has(segment)) continue;
      overrides.set(segment, mode);
      firstExpiry = Math.min(firstExpiry, expiresAt);
    }
    const { member, holdsUntil } = yield* decide({ ...subject, overrides }, moment);
    return { member, holdsUntil: Math.min(holdsUntil, firstExpiry) };
  }

  return function* (subject, from) {
    const { member, holdsUntil } = yield* decideAt(subject, from);
    let moment = holdsUntil;
    for (let tried = 1; tried < maxMoments && moment <= lastMoment; tried++) {
      const then = yield* decideAt(subject, moment);
      if (then.member !== member) break;
      moment = then.holdsUntil;
    }
    return { member, nextMoment: moment <= lastMoment ? moment : null };
  };
}

export type TimeCause = 'start' | 'end' | 'expiry' | 'ramp' | 'attributes';

/**
 * Why time alone moved a user at a moment, looked for in the segment first and then in those that its condition names. What is
 * neither start, end, expiry nor ramp is a date of the user's that a condition speaks of.
 */
export function causeOfMoment(
  definitions: Definitions,
  definition: Definition,
  subject: TimedSubject,
  moment: number,
): TimeCause {
  for (const one of inOrder(definitions.byId, [definition]).reverse()) {
    if (one.activeFrom === moment) return 'start';
    if (one.activeUntil === moment) return 'end';
    if (subject.overrides.get(one.id)?.expiresAt === moment) return 'expiry';
    const bucket = one.share?.kind === 'ramp' ? bucketOf(one, subject) : null;
    if (one.share && bucket !== null && changesMindAt(one.share, bucket) === moment) return 'ramp';
  }
  return 'attributes';
}
