import { setTimeout as sleep } from 'node:timers/promises';
import { Problem } from '@kohort/contract';
import { onBehalfOf, theService } from '../../concurrency/party.ts';
import { Database, type Transactor, type Tx } from '../../postgres/database.ts';
import { sqlState } from '../../postgres/errors.ts';
import type { TransactionOptions } from '../../postgres/transaction.ts';
import {
  deleteAbandonedFences,
  deleteFence,
  type Fence,
  insertFence,
  isFencedFromErasure,
  selectFencedSegments,
  takeTurn,
} from './fences.sql.ts';

export { deleteFencesOfEndedJobs, everySegment, isFenced, takeTurn } from './fences.sql.ts';

export interface FenceLimits {
  /** Longer than a single change holds the lock on its user, so that only the locks of an import, held for minutes, run into it. */
  readonly lockTimeoutMs: number;
  readonly pollEveryMs: number;
  readonly giveUpAfterMs: number;
}

const usualLimits: FenceLimits = { lockTimeoutMs: 250, pollEveryMs: 100, giveUpAfterMs: 20_000 };
const lockNotAvailable = '55P03';

/** The transaction concerns a user behind a fence. It has changed nothing. */
export class Fenced extends Error {}

function importInTheWay(): Problem {
  return new Problem('overloaded', 'An import that changes this user is being applied. Try again shortly.', {
    retryAfter: 2,
  });
}

/**
 * Runs an import's transaction behind a fence, which is visible at once and is removed when the transaction ends. Single changes of
 * the fenced pairs wait at the fence, rather than for a row lock in the middle of a statement that they share with others.
 */
export async function transactionBehindFence<T>(
  db: Database,
  fence: Fence,
  work: (tx: Tx) => Promise<T>,
  options: TransactionOptions,
): Promise<T> {
  try {
    return await db.transaction(async (tx) => {
      await takeTurn(tx, fence.segmentId);
      await insertFence(db, fence);
      const result = await work(tx);
      await deleteFence(tx, fence.job);
      return result;
    }, options);
  } catch (error) {
    // If this fails too, waiting changes find the fence abandoned.
    await deleteFence(db, fence.job).catch(() => undefined);
    throw error;
  }
}

/** Waits until the fences that exist now are removed, not for later ones. */
async function untilFencesAreDown(db: Database, { pollEveryMs, giveUpAfterMs }: FenceLimits): Promise<void> {
  const deadline = performance.now() + giveUpAfterMs;
  let awaited: Set<number> | undefined;
  for (;;) {
    const fenced = new Set(await selectFencedSegments(db));
    awaited = awaited?.intersection(fenced) ?? fenced;
    for (const segmentId of awaited) {
      if (await db.transaction((tx) => deleteAbandonedFences(tx, segmentId))) awaited.delete(segmentId);
    }
    if (awaited.size === 0) return;
    if (performance.now() > deadline) throw importInTheWay();
    await sleep(pollEveryMs);
  }
}

const waits = new WeakMap<Database, Promise<void>>();

/**
 * Waits for the imports that are being applied now. One poll serves all calls that wait.
 * @throws Problem 503 after 20 s.
 */
export function waitForFences(db: Database, limits = usualLimits): Promise<void> {
  const underWay = waits.get(db);
  if (underWay) return underWay;
  const wait = onBehalfOf(theService, () => untilFencesAreDown(db, limits)).finally(() => waits.delete(db));
  waits.set(db, wait);
  return wait;
}

/**
 * Runs a transaction that an import may block, by a fence or by its locks. Waiting inside the transaction would hold a
 * connection until the import ends, and a few dozen such calls would exhaust the pool. So it gives up after a moment, waits
 * without a connection, and starts again.
 * @throws Problem 503, or the database's refusal of the lock, which is a 503 too, after 20 s.
 */
export async function transactionBesideFences<T>(
  db: Transactor,
  work: (tx: Tx) => Promise<T>,
  limits = usualLimits,
): Promise<T> {
  // Nested: the outer transaction handles fences.
  if (!(db instanceof Database)) return db.transaction(work);
  const deadline = performance.now() + limits.giveUpAfterMs;
  for (;;) {
    try {
      return await db.transaction(work, { lockTimeout: limits.lockTimeoutMs });
    } catch (error) {
      const isFenced = error instanceof Fenced;
      if (!isFenced && sqlState(error) !== lockNotAvailable) throw error;
      if (performance.now() > deadline) throw isFenced ? importInTheWay() : error;
      await waitForFences(db, limits);
      // Without a fence, other single changes hold the lock: let them finish.
      if (!isFenced) await sleep(Math.random() * limits.lockTimeoutMs);
    }
  }
}

/**
 * Called before erasing a user: an import that plans to change them must end first.
 * @throws Fenced
 */
export async function refuseErasureOfFenced(tx: Tx, userId: number): Promise<void> {
  if (await isFencedFromErasure(tx, userId)) throw new Fenced();
}
