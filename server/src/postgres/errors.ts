import { Problem } from '@kohort/contract';
import pg from 'pg';

/** The database did not say whether the commit happened: the connection went away while it was asked to. */
export class CommitUnknown extends Error {
  override readonly name = 'CommitUnknown';
}

/** The database is known to be away, or the wait for it was cut off. */
export class DatabaseAway extends Error {
  override readonly name = 'DatabaseAway';
}

export function sqlState(error: unknown): string | undefined {
  return error instanceof pg.DatabaseError ? error.code : undefined;
}

/** The name of the constraint that refused, so that a verb can turn it into its problem. */
export function violatedConstraint(error: unknown): string | undefined {
  return error instanceof pg.DatabaseError ? error.constraint : undefined;
}

/** A deadlock or a serialization failure: nothing happened, the whole transaction may be tried again. */
export function isRetryable(error: unknown): boolean {
  const state = sqlState(error);
  return state === '40001' || state === '40P01';
}

// node's and pg's own words for a connection that is gone; they carry no SQLSTATE.
const CONNECTION_LOST =
  /Connection terminated|^timeout expired$|timeout exceeded when trying to connect|Query read timeout|Client has encountered a connection error|Cannot use a pool after calling end|connection is closed|not queryable/i;
const SOCKET_CODES = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  'ENOENT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
]);

export function isConnectionLost(error: unknown): boolean {
  if (error instanceof DatabaseAway) return true;
  const state = sqlState(error);
  if (state !== undefined) return state.startsWith('08') || state.startsWith('57P');
  if (!(error instanceof Error)) return false;
  return ('code' in error && SOCKET_CODES.has(String(error.code))) || CONNECTION_LOST.test(error.message);
}

/**
 * What an error of the database means on the wire, for those that no verb has already turned into a problem of its own:
 * data it refuses is the caller's 400, being away or overloaded a 503. Undefined: a fault of ours.
 */
export function problemOfDatabase(error: unknown): Problem | undefined {
  if (error instanceof CommitUnknown) {
    return new Problem(
      'outcome_unknown',
      'The connection to the database was lost while the change was being saved; it may or may not have happened. Read before asking again where that would do it twice.',
      {
        retryAfter: 1,
        cause: error,
      },
    );
  }
  if (isConnectionLost(error)) {
    return new Problem('unavailable', 'The database is away. Try again shortly.', { retryAfter: 1, cause: error });
  }
  const state = sqlState(error);
  if (state === undefined) return undefined;
  if (state.startsWith('22')) {
    return new Problem('invalid', 'The request holds a value that cannot be stored.', { cause: error });
  }
  if (state === '40001' || state === '40P01' || state === '55P03' || state === '57014' || state.startsWith('53')) {
    return new Problem('overloaded', 'The database is too busy. Try again shortly.', { retryAfter: 1, cause: error });
  }
  return undefined;
}
