import { createHash } from 'node:crypto';
import { Problem } from '@kohort/contract';
import type { Db } from '../../postgres/database.ts';
import { addressLimit, addressWindowSeconds, freeFailures, signUpLimit, signUpWindowSeconds } from './backoff.ts';
import {
  countAccountFailure,
  countInWindow,
  deleteAccountThrottle,
  readSignInThrottles,
  type ThrottleRow,
  takeTurn,
} from './throttle.sql.ts';

/** The subjects that a sign-in is counted against. */
export interface Subjects {
  readonly account: string;
  readonly address: string;
}

/** Hashed, because people type passwords into the wrong field, and to bound its length. */
export function accountSubject(username: string): string {
  return createHash('sha256').update(username).digest('base64url');
}

function throttled(seconds: number): Problem {
  return new Problem('throttled', 'Too many attempts. Try again later; Retry-After says when.', {
    retryAfter: seconds,
  });
}

/** Seconds until a sign-in may be tried. 0: now. */
export function waitOf(rows: readonly ThrottleRow[]): number {
  return Math.max(
    0,
    ...rows.map(({ kind, attempts, blocked_for, window_left }) =>
      kind === 'sign_in_account' ? (blocked_for ?? 0) : attempts >= addressLimit ? window_left : 0,
    ),
  );
}

/** @throws Problem 429 while the account or the address is blocked. */
export async function refuseBlocked(db: Db, { account, address }: Subjects): Promise<readonly ThrottleRow[]> {
  const rows = await readSignInThrottles(db, account, address);
  const wait = waitOf(rows);
  if (wait > 0) throw throttled(wait);
  return rows;
}

/**
 * Lets a sign-in try the password. Once the free failures are used up, an attempt is counted before it is made, so that a burst
 * of parallel guesses gets one try, not as many as fit between reading the counter and raising it.
 * @returns whether it has been counted.
 * @throws Problem 429.
 */
export async function admit(db: Db, subjects: Subjects): Promise<boolean> {
  for (;;) {
    const rows = await refuseBlocked(db, subjects);
    const failures = rows.find(({ kind }) => kind === 'sign_in_account')?.attempts ?? 0;
    if (failures < freeFailures) return false;
    const [turn] = await takeTurn(db, subjects.account);
    if (turn) return true;
    // Another attempt took the turn: either the account is blocked now, or that attempt succeeded.
  }
}

export async function countFailure(db: Db, { account, address }: Subjects, alreadyCounted: boolean): Promise<void> {
  await countAccountFailure(db, account, alreadyCounted);
  await countInWindow(db, 'sign_in_address', address, addressWindowSeconds);
}

export async function forgetFailures(db: Db, account: string): Promise<void> {
  await deleteAccountThrottle(db, account);
}

/** @throws Problem 429 beyond the sign-ups allowed from an address. */
export async function countSignUp(db: Db, address: string): Promise<void> {
  const [row] = await countInWindow(db, 'sign_up_address', address, signUpWindowSeconds);
  if (row && row.attempts > signUpLimit) throw throttled(row.window_left);
}
