import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { sqlState } from '../errors.ts';
import { refuseUndeclaredPooler } from '../pooler.ts';
import { Obstacle } from './obstacles.ts';

const connectWithinMs = 5_000;
const lockNotAvailable = '55P03';

export interface LockLimits {
  /** How long one attempt waits for a lock. Calls that want the same table wait behind it. */
  readonly lockMs: number;
  /** How long to keep trying. */
  readonly withinMs: number;
  readonly pauseMs: number;
}

export const defaultLockLimits: LockLimits = { lockMs: 1_000, withinMs: 60_000, pauseMs: 500 };

/** @throws Obstacle if the database cannot be reached, or only through a pooler. */
export async function connect(connectionString: string, name: string): Promise<pg.Client> {
  const client = new pg.Client({
    connectionString,
    connectionTimeoutMillis: connectWithinMs,
    application_name: name,
    keepAlive: true,
    // These are settings of the session, which a pooler refuses. It has to, since the locks of the session must outlast transactions.
    statement_timeout: 0,
    idle_in_transaction_session_timeout: 600_000,
  });
  client.on('error', () => undefined);
  try {
    await client.connect().catch(refuseUndeclaredPooler);
    return client;
  } catch (error) {
    await client.end().catch(() => undefined);
    throw new Obstacle(`The database cannot be reached: ${error instanceof Error ? error.message : error}`);
  }
}

/**
 * Retries work that needs a lock until the lock is free, waiting only briefly each time, so that later readers do not queue behind a
 * slow one. Within a transaction, `work` must not have been begun outside of it.
 */
export async function withLocks<T>(
  client: pg.ClientBase,
  work: () => Promise<T>,
  { lockMs, withinMs, pauseMs }: LockLimits,
  what: string,
): Promise<T> {
  const giveUpAt = performance.now() + withinMs;
  for (;;) {
    await client.query('SAVEPOINT locks');
    await client.query(`SET LOCAL lock_timeout = ${Math.trunc(lockMs)}`);
    try {
      const result = await work();
      await client.query('SET LOCAL lock_timeout = 0');
      await client.query('RELEASE SAVEPOINT locks');
      return result;
    } catch (error) {
      if (sqlState(error) !== lockNotAvailable) throw error;
      await client.query('ROLLBACK TO SAVEPOINT locks');
      if (performance.now() > giveUpAt) {
        throw new Obstacle(
          `Another session holds a lock on ${what}, and has for ${withinMs / 1000} s: see pg_stat_activity for a long transaction.`,
        );
      }
      await sleep(pauseMs);
    }
  }
}

/** Runs `work` in a transaction, in the mode that Citus needs for tables that refer to reference tables. */
export async function inTransaction<T>(client: pg.ClientBase, work: () => Promise<T>): Promise<T> {
  await client.query('BEGIN');
  try {
    await client.query("SET LOCAL citus.multi_shard_modify_mode = 'sequential'");
    const result = await work();
    await client.query('COMMIT');
    return result;
  } catch (error) {
    await client.query('ROLLBACK').catch(() => undefined);
    throw error;
  }
}
