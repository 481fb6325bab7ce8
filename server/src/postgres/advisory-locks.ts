/**
 * The advisory locks with a number of their own, so that no two uses take the same. Beside these, `features/fences` and
 * `features/idempotency` take the first eight bytes of a hash, the trigger `accounts_last_admin` 7224191400001, and the embedded
 * PostgreSQL 7224191400009 in its database `postgres`.
 */
export const advisoryLocks = {
  migration: 7224191400000,
  firstAdmin: 7224191400002,
  /** Held shared by erasures; an import takes it alone, for a moment, once its fence is up. */
  erasure: 7224191400003,
} as const;
