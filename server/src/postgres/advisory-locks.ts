/**
 * Register of the advisory locks with fixed numbers, so that no number is used twice. Besides these, `features/fences` and
 * `features/idempotency` use the first eight bytes of a hash, the trigger `accounts_last_admin` 7224191400001, and the embedded
 * PostgreSQL 7224191400009 in its database `postgres`.
 */
export const advisoryLocks = {
  migration: 7224191400000,
  firstAdmin: 7224191400002,
  /** Erasures take it shared; an import takes it exclusively, for a moment, once its fence is up. */
  erasure: 7224191400003,
  /** Whoever finds out and tells what feeds tell, until the end of each transaction. */
  telling: 7224191400004,
} as const;
