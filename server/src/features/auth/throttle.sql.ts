import sql from 'sql-template-tag';
import type { Db } from '../../postgres/database.ts';
import { named } from '../../postgres/statement.ts';
import { accountMemorySeconds, blocks, freeFailures } from './backoff.ts';

export type ThrottleKind = 'sign_in_account' | 'sign_in_address' | 'sign_up_address';

export interface ThrottleRow {
  readonly kind: ThrottleKind;
  readonly attempts: number;
  /** Seconds. Null: not blocked. */
  readonly blocked_for: number | null;
  readonly window_left: number;
}

export function readSignInThrottles(db: Db, account: string, address: string): Promise<ThrottleRow[]> {
  return db.query<ThrottleRow>(
    named(
      'auth-throttles',
      sql`
    SELECT kind, attempts,
      EXTRACT(EPOCH FROM blocked_until - statement_timestamp()) AS blocked_for,
      EXTRACT(EPOCH FROM window_ends_at - statement_timestamp()) AS window_left
    FROM throttles
    WHERE (kind, subject) IN (('sign_in_account', ${account}), ('sign_in_address', ${address}))
      AND window_ends_at > statement_timestamp()`,
    ),
  );
}

/** Counts an attempt before it is made, once the free failures are used up. Of concurrent attempts one gets a row. */
export function takeTurn(db: Db, account: string): Promise<{ attempts: number }[]> {
  return db.write<{ attempts: number }>(sql`
    UPDATE throttles SET
      attempts = attempts + 1,
      blocked_until = statement_timestamp()
        + make_interval(secs => (${blocks}::int[])[LEAST(attempts + 1 - ${freeFailures}::int, ${blocks.length}::int)]),
      window_ends_at = statement_timestamp() + make_interval(secs => ${accountMemorySeconds}::int)
    WHERE kind = 'sign_in_account' AND subject = ${account}
      AND attempts >= ${freeFailures}::int
      AND window_ends_at > statement_timestamp()
      AND (blocked_until IS NULL OR blocked_until <= statement_timestamp())
    RETURNING attempts`);
}

/** Starts the block at the failure. An attempt that took its turn is counted already. */
export function countAccountFailure(db: Db, account: string, alreadyCounted: boolean): Promise<{ attempts: number }[]> {
  return db.write<{ attempts: number }>(sql`
    INSERT INTO throttles AS t (kind, subject, attempts, window_ends_at)
    VALUES ('sign_in_account', ${account}, 1, statement_timestamp() + make_interval(secs => ${accountMemorySeconds}::int))
    ON CONFLICT ON CONSTRAINT throttles_pkey DO UPDATE SET (attempts, blocked_until, window_ends_at) = (
      SELECT n,
        statement_timestamp()
          + make_interval(secs => (${blocks}::int[])[LEAST(n - ${freeFailures}::int, ${blocks.length}::int)]),
        EXCLUDED.window_ends_at
      FROM (
        SELECT CASE
          WHEN t.window_ends_at <= statement_timestamp() THEN 1
          ELSE t.attempts + ${alreadyCounted ? 0 : 1}::int
        END AS n
      ) AS counted
    )
    RETURNING attempts`);
}

/** Counts an attempt in a window of `seconds` that starts with the first one. */
export function countInWindow(
  db: Db,
  kind: 'sign_in_address' | 'sign_up_address',
  subject: string,
  seconds: number,
): Promise<{ attempts: number; window_left: number }[]> {
  return db.write<{ attempts: number; window_left: number }>(sql`
    INSERT INTO throttles AS t (kind, subject, attempts, window_ends_at)
    VALUES (${kind}, ${subject}, 1, statement_timestamp() + make_interval(secs => ${seconds}::int))
    ON CONFLICT ON CONSTRAINT throttles_pkey DO UPDATE SET
      attempts = CASE WHEN t.window_ends_at <= statement_timestamp() THEN 1 ELSE t.attempts + 1 END,
      window_ends_at = GREATEST(t.window_ends_at,
        CASE WHEN t.window_ends_at <= statement_timestamp() THEN EXCLUDED.window_ends_at END)
    RETURNING attempts, EXTRACT(EPOCH FROM window_ends_at - statement_timestamp()) AS window_left`);
}

export function deleteAccountThrottle(db: Db, account: string): Promise<object[]> {
  return db.write(sql`DELETE FROM throttles WHERE kind = 'sign_in_account' AND subject = ${account}`);
}

export function deleteEndedThrottles(db: Db): Promise<object[]> {
  return db.write(sql`
    DELETE FROM throttles
    WHERE window_ends_at <= statement_timestamp() AND (blocked_until IS NULL OR blocked_until <= statement_timestamp())`);
}
