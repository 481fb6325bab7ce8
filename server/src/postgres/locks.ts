import { setTimeout as sleep } from 'node:timers/promises';
import type { Database, Tx } from './database.ts';
import { sqlState } from './errors.ts';

/** Milliseconds: what takes turns at one user is done sooner; a bulk change, which may lock them for minutes, is not. */
const LOCK_TIMEOUT = 250;
const GIVE_UP_AFTER = 20_000;
const LOCK_NOT_AVAILABLE = '55P03';

/**
 * A transaction about what a bulk change may have locked. It must not keep a connection until that ends: some dozens of them
 * would leave none for anybody else. So it gives up after a moment, waits without a connection, and begins anew.
 * @param lifted resolves when the bulk changes that are under way have ended.
 * @throws the database's refusal of the lock, which is a 503, when it could not be had for 20 s.
 */
export async function transactionBesideBulk<T>(
  db: Database,
  lifted: () => Promise<void>,
  work: (tx: Tx) => Promise<T>,
): Promise<T> {
  const deadline = performance.now() + GIVE_UP_AFTER;
  for (;;) {
    try {
      return await db.transaction(work, { lockTimeout: LOCK_TIMEOUT });
    } catch (error) {
      if (sqlState(error) !== LOCK_NOT_AVAILABLE || performance.now() > deadline) throw error;
    }
    await lifted();
    // Where nothing bulky was in the way, others are: let them go first.
    await sleep(Math.random() * LOCK_TIMEOUT);
  }
}
