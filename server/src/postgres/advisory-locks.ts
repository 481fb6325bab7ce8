/**
 * Register of the advisory locks with fixed numbers, so that no number is used twice. Besides these, `features/fences`,
 * `features/users` and `features/idempotency` use the first eight bytes of a hash, the trigger `accounts_last_admin` 7224191400001, and the embedded
 * PostgreSQL 7224191400009 in its database `postgres`.
 */
export const advisoryLocks = {
  migration: 7224191400000,
  firstAdmin: 7224191400002,
  /** Erasures take it shared; an import takes it exclusively, for a moment, once its fence is up. */
  erasure: 7224191400003,
  /** Held by the instance that derives and publishes changes of feeds, until the end of each transaction. */
  publishing: 7224191400004,
  /** `npm run distribute` takes it exclusively while writes are stopped; every instance tries it, shared, twice a second. */
  writing: 7224191400005,
  /** On a distributed database: single changes of memberships take it shared, the deletion of a segment exclusively. */
  deletion: 7224191400006,
  /** On a distributed database: changes of definitions take it, before they lock anything on other nodes. */
  definitions: 7224191400007,
} as const;
