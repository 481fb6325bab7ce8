import type { Turns } from '../../concurrency/turns.ts';
import type { FollowedRules } from './rules.ts';

/** What the deriver works with in one turn: the followed rules and the moment, both of the transaction's snapshot. */
export interface Moment {
  readonly rules: FollowedRules;
  /** In milliseconds since 1970. */
  readonly now: number;
  readonly turns: Turns;
}

export interface TurnSizes {
  /** Events, or looks that are due, that one transaction takes. */
  readonly eventsAtOnce: number;
  readonly bulkEventsAtOnce: number;
  /** Members of a list that one transaction goes through. */
  readonly sliceRows: number;
  /** Users whom one transaction looks at. */
  readonly usersAtOnce: number;
}
