import { Problem } from '@kohort/contract';
import pg from 'pg';

/** It is unknown whether the commit happened, because the connection was lost during it. */
export class CommitUnknown extends Error {
  override readonly name = 'CommitUnknown';
}

/** The database is unreachable, or waiting for it was aborted. */
export class DatabaseAway extends Error {
  override readonly name = 'DatabaseAway';
}

/** Writes stand still while the database is being distributed. Nothing was sent. */
export class WritesStopped extends Error {
  override readonly name = 'WritesStopped';
}

/** A statement suited a database of one server, which has been distributed since, or the reverse. Nothing was written. */
export class OtherForm extends Error {
  override readonly name = 'OtherForm';
}

const writesStoppedRetrySeconds = 5;

export function sqlState(error: unknown): string | undefined {
  return error instanceof pg.DatabaseError ? error.code : undefined;
}

/**
 * Citus passes the message of a worker on without its fields. Names of keys end with the number of the shard, six digits or more;
 * those of checks do not.
 */
const constraintOnWorker = / constraint "(\w+?)(?:_\d{6,})?"/;

/** The name of the violated constraint, from which a caller makes its problem. */
export function violatedConstraint(error: unknown): string | undefined {
  if (!(error instanceof pg.DatabaseError)) return undefined;
  return error.constraint ?? constraintOnWorker.exec(error.message)?.[1];
}

/** A deadlock or serialization failure: nothing was written, and the whole transaction may be retried. */
export function isRetryable(error: unknown): boolean {
  const state = sqlState(error);
  return state === '40001' || state === '40P01';
}

// Messages of node and pg for a lost connection; they carry no SQLSTATE.
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
 * The problem for a database error that a feature has not turned into a problem itself: refused data is a 400, an unreachable
 * or overloaded database a 503. Undefined for an internal error.
 */
export function problemOfDatabase(error: unknown): Problem | undefined {
  if (error instanceof CommitUnknown) {
    return new Problem(
      'outcome_unknown',
      'The connection to the database was lost while the change was being saved; it may or may not have happened. Check before you repeat a call that must not take effect twice.',
      {
        retryAfter: 1,
        cause: error,
      },
    );
  }
  if (isConnectionLost(error)) {
    return new Problem('unavailable', 'The database is unavailable. Try again shortly.', {
      retryAfter: 1,
      cause: error,
    });
  }
  if (error instanceof WritesStopped) {
    // Without its cause, which would be logged for each call: that writes are stopped is logged once.
    return new Problem(
      'unavailable',
      'Nothing can be changed while the database is being distributed. Reads go on. Try again shortly.',
      { retryAfter: writesStoppedRetrySeconds },
    );
  }
  if (error instanceof OtherForm) {
    return new Problem('unavailable', 'The database was just distributed. Try again.', { retryAfter: 1, cause: error });
  }
  const state = sqlState(error);
  if (state === undefined) return undefined;
  if (state.startsWith('22')) {
    return new Problem('invalid', 'The request contains a value that cannot be stored.', { cause: error });
  }
  if (state === '40001' || state === '40P01' || state === '55P03' || state === '57014' || state.startsWith('53')) {
    return new Problem('overloaded', 'The database is too busy. Try again shortly.', { retryAfter: 1, cause: error });
  }
  return undefined;
}
