import { setTimeout as sleep } from 'node:timers/promises';
import { Problem } from '@kohort/contract';
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

export { deleteFencesOfEndedJobs, everySegment, isFenced } from './fences.sql.ts';

export interface FenceLimits {
  /** Single changes of one user take turns faster than this. An import may keep users locked for minutes. */
  readonly lockTimeoutMs: number;
  readonly lookEveryMs: number;
  readonly giveUpAfterMs: number;
}

const usualLimits: FenceLimits = { lockTimeoutMs: 250, lookEveryMs: 100, giveUpAfterMs: 20_000 };
const lockNotAvailable = '55P03';

/** The transaction is about a user behind a fence. None of it has happened. */
export class Fenced extends Error {}

function importInTheWay(): Problem {
  return new Problem('overloaded', 'An import that changes this user is being applied. Try again shortly.', {
    retryAfter: 2,
  });
}

/**
 * Runs an import's transaction behind a fence, which is visible at once and goes with the transaction. Single changes of the
 * fenced pairs wait at the fence instead of for a row lock, in the middle of a statement that they share with others.
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
    // If this fails too, those who wait find the fence abandoned.
    await deleteFence(db, fence.job).catch(() => undefined);
    throw error;
  }
}

/** Waits until the fences that are up now are down. Later ones are not waited for. */
async function untilFencesAreDown(db: Database, { lookEveryMs, giveUpAfterMs }: FenceLimits): Promise<void> {
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
    await sleep(lookEveryMs);
  }
}

const waits = new WeakMap<Database, Promise<void>>();

/**
 * Waits for the imports that are being applied now. However many calls wait, one of them looks.
 * @throws Problem 503 after 20 s.
 */
export function waitForFences(db: Database, limits = usualLimits): Promise<void> {
  const underWay = waits.get(db);
  if (underWay) return underWay;
  const wait = untilFencesAreDown(db, limits).finally(() => waits.delete(db));
  waits.set(db, wait);
  return wait;
}

/**
 * Runs a transaction that an import may be in the way of, by a fence or by its locks. Waiting inside of it would hold a
 * connection until the import ends, and some dozens of such calls would take all of them. So it gives up after a moment, waits
 * without a connection, and begins anew.
 * @throws Problem 503, or the database's refusal of the lock, which is a 503 too, after 20 s.
 */
export async function transactionBesideFences<T>(
  db: Transactor,
  work: (tx: Tx) => Promise<T>,
  limits = usualLimits,
): Promise<T> {
  // Part of a transaction that does all of this already.
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
      // Without a fence, other single changes had the lock: let them finish.
      if (!isFenced) await sleep(Math.random() * limits.lockTimeoutMs);
    }
  }
}

/**
 * Part of erasing a user: an import that has planned to change them must end first.
 * @throws Fenced
 */
export async function refuseErasureOfFenced(tx: Tx, userId: number): Promise<void> {
  if (await isFencedFromErasure(tx, userId)) throw new Fenced();
}
