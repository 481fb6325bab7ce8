import { Problem } from '@kohort/contract';
import { createDatabase } from '@kohort/testkit/database.ts';
import pg from 'pg';
import { describe, expect, it } from 'vitest';
import {
  CommitUnknown,
  DatabaseAway,
  isConnectionLost,
  isRetryable,
  problemOfDatabase,
  violatedConstraint,
} from './errors.ts';

function stateError(code: string): pg.DatabaseError {
  const error = new pg.DatabaseError('secret words of the database', 0, 'error');
  error.code = code;
  return error;
}

describe('an error of the database on the wire', () => {
  it.each([
    ['22021', 400],
    ['22P02', 400],
    ['22P05', 400],
    ['22003', 400],
    ['22008', 400],
    ['40001', 503],
    ['40P01', 503],
    ['53000', 503],
    ['53100', 503],
    ['53200', 503],
    ['53300', 503],
    ['55P03', 503],
    ['57014', 503],
    ['57P01', 503],
    ['57P02', 503],
    ['57P03', 503],
    ['08000', 503],
    ['08006', 503],
    ['08P01', 503],
    ['42601', undefined],
    ['42P01', undefined],
    ['23514', undefined],
    ['XX000', undefined],
  ])('SQLSTATE %s is %s', (code, status) => {
    const problem = problemOfDatabase(stateError(code));
    expect(problem?.status).toBe(status);
    expect(problem?.message ?? '').not.toMatch(/secret/);
    if (status === 503) expect(problem?.headers['retry-after']).toBe('1');
  });

  it('is retried for a deadlock and a serialization failure, and for nothing else', () => {
    expect(['40001', '40P01', '23505', '57P01', '55P03'].map((code) => isRetryable(stateError(code)))).toEqual([
      true,
      true,
      false,
      false,
      false,
    ]);
  });

  it('does not call a commit failed whose outcome is unknown', () => {
    const problem = problemOfDatabase(new CommitUnknown('lost'));
    expect(problem).toBeInstanceOf(Problem);
    expect(problem).toMatchObject({ status: 503, code: 'outcome_unknown', headers: { 'retry-after': '1' } });
  });

  it.each([
    'Connection terminated',
    'Connection terminated unexpectedly',
    'Connection terminated due to connection timeout',
    'timeout expired',
    'timeout exceeded when trying to connect',
    'Query read timeout',
    'Client has encountered a connection error and is not queryable',
  ])('knows pg’s own words for a lost connection: %s', (words) => {
    expect(isConnectionLost(new Error(words))).toBe(true);
    expect(problemOfDatabase(new Error(words))).toMatchObject({ status: 503, code: 'unavailable' });
  });

  it.each([
    'ECONNREFUSED',
    'ECONNRESET',
    'EPIPE',
    'ETIMEDOUT',
    'EHOSTUNREACH',
    'ENETUNREACH',
    'ENOTFOUND',
    'EAI_AGAIN',
  ])('knows the socket’s: %s', (code) => {
    expect(isConnectionLost(Object.assign(new Error('x'), { code }))).toBe(true);
  });

  it('takes nothing else for one', () => {
    expect(isConnectionLost(new DatabaseAway('x'))).toBe(true);
    for (const other of [new Error('timeout expired for the user'), new TypeError('x'), 'ECONNREFUSED', undefined]) {
      expect(isConnectionLost(other)).toBe(false);
      expect(problemOfDatabase(other)).toBeUndefined();
    }
  });

  it.each([
    ['duplicate key value violates unique constraint "segments_slug_key_102009"', 'segments_slug_key'],
    ['new row for relation "users_102011" violates check constraint "users_name_length"', 'users_name_length'],
    ['violates foreign key constraint "feeds_after_2026"', 'feeds_after_2026'],
    ['null value in column "id" violates not-null constraint', undefined],
  ])('names the constraint in the words of a worker: %s', (words, name) => {
    expect(violatedConstraint(new pg.DatabaseError(words, 0, 'error'))).toBe(name);
  });

  it('is what real connections meet', async () => {
    const refused = await new pg.Client('postgres://x:x@127.0.0.1:1/x').connect().catch((error: unknown) => error);
    expect(isConnectionLost(refused)).toBe(true);
    const silent = await new pg.Client({ connectionString: 'postgres://x:x@192.0.2.1/x', connectionTimeoutMillis: 50 })
      .connect()
      .catch((error: unknown) => error);
    expect(isConnectionLost(silent)).toBe(true);
    const database = await createDatabase();
    const client = new pg.Client(database.url);
    client.on('error', () => undefined);
    await client.connect();
    const running = client.query('SELECT pg_sleep(30)').catch((error: unknown) => error);
    await database.drop();
    expect(isConnectionLost(await running)).toBe(true);
    expect(isConnectionLost(await client.query('SELECT 1').catch((error: unknown) => error))).toBe(true);
  });
});
