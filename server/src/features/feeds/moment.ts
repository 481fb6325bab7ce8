import type { Turns } from '../../concurrency/turns.ts';
import type { Db } from '../../postgres/database.ts';
import type { FollowedRules } from './rules.ts';

/** The input of one turn: the followed rules and the time, both of the transaction's snapshot. */
export interface Moment {
  readonly rules: FollowedRules;
  /** In milliseconds since 1970. */
  readonly now: number;
  readonly turns: Turns;
  /** Reads what was committed after the snapshot, too. */
  readonly outside: Db;
}

export interface TurnSizes {
  /** Events, or due evaluations, that one transaction takes. */
  readonly eventsAtOnce: number;
  readonly bulkEventsAtOnce: number;
  /** Members of a list that one transaction processes. */
  readonly sliceRows: number;
  /** Users that one transaction evaluates. */
  readonly usersAtOnce: number;
}
