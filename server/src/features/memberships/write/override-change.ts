import type { UserRef } from '@kohort/contract';

/**
 * The operations on an override. `include` and `exclude` set it. `auto` drops it. `leave` drops it if it is an include.
 * `remove` does the same in plain lists, where that is enough to remove the user.
 */
export type OverrideKind = 'include' | 'exclude' | 'auto' | 'leave' | 'remove';

/** One change of one override. */
export interface OverrideChange {
  readonly user: UserRef;
  readonly slug: string;
  readonly kind: OverrideKind;
  /** When an override that is set expires. Null: never, or after `ttl`. */
  readonly expiresAt: Date | null;
  /** Seconds from now, by the database's clock. */
  readonly ttl: number | null;
  readonly actor: string;
}

/**
 * `added`, `updated`, `removed`: the change was made, with a history row. `unchanged`: the override was already as requested.
 * `past`: the requested expiry has passed. `expired`: an expired row that is not swept yet is in the way. `dynamic`: a `remove` in
 * a segment with a rule. `fenced`: an import that changes this pair is being applied. `raced`: the user or segment was deleted
 * while the statement ran.
 */
export type Outcome =
  | 'added'
  | 'updated'
  | 'removed'
  | 'unchanged'
  | 'past'
  | 'user_unknown'
  | 'segment_unknown'
  | 'expired'
  | 'dynamic'
  | 'fenced'
  | 'raced';
