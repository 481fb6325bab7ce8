import { createHash, randomUUID } from 'node:crypto';
import { Problem } from '@kohort/contract';
import type { IdempotentCall } from '../../http/idempotency.ts';
import type { Database, Db, Transactor, Tx } from '../../postgres/database.ts';
import { transactionBesideFences } from '../fences/fences.ts';
import {
  answerLease,
  type CallName,
  type CallRow,
  deleteExpired,
  deleteLease,
  insertAnswer,
  insertLease,
  leaseSeconds,
  renewLease,
  selectCall,
  tryLock,
} from './idempotency.sql.ts';
import { createSeal, type Seal } from './seal.ts';

/**
 * Runs the work and stores its answer in one transaction. A repeated call gets the stored answer and has no effect. Without a
 * key the work just runs. Work that fails stores nothing, so the key is free again.
 */
export type Once = <T>(call: IdempotentCall | undefined, work: (db: Transactor) => Promise<T>) => Promise<T>;

/** Stores the answer of an upload, in the transaction that makes its effect. */
export type Keep<T> = (tx: Tx, answer: T) => Promise<void>;

/** The same for work that is too long for one transaction: it reads `source` to the end, then calls `keep`. */
export type OnceUploaded = <T>(
  call: IdempotentCall | undefined,
  source: AsyncIterable<Buffer>,
  work: (source: AsyncIterable<Buffer>, keep: Keep<T>) => Promise<T>,
) => Promise<T>;

interface Context {
  readonly db: Database;
  readonly seal: Seal;
}

export function createIdempotency(db: Database, secret: string): { once: Once; onceUploaded: OnceUploaded } {
  const context: Context = { db, seal: createSeal(secret) };
  return {
    once: (call, work) => (call ? doOnce(context, call, work) : work(db)),
    onceUploaded: (call, source, work) =>
      call ? uploadOnce(context, call, source, work) : work(source, async () => undefined),
  };
}

function inFlight(): Problem {
  return new Problem('idempotency_in_flight', 'A call with this Idempotency-Key is in progress. Try again shortly.', {
    retryAfter: 1,
  });
}

function reused(detail = 'This Idempotency-Key was used for another request.'): Problem {
  return new Problem('idempotency_key_reused', detail);
}

function nameOf({ actor, key }: IdempotentCall): CallName {
  return { actor, keyHash: createHash('sha256').update(actor).update('\0').update(key).digest() };
}

/** The stored answer of this call. Undefined if there is none yet. */
async function lookUp(tx: Tx, call: IdempotentCall): Promise<CallRow | undefined> {
  const name = nameOf(call);
  if (!(await tryLock(tx, name))) throw inFlight();
  const row = await selectCall(tx, name);
  if (row && !row.request_hash.equals(call.requestHash)) throw reused();
  if (row && row.answer === null) throw inFlight();
  return row;
}

function replay<T>({ seal }: Context, call: IdempotentCall, row: CallRow): T {
  const text = row.answer && seal.open(call, row.answer);
  // Running it again might apply it twice, so it is refused, although the client made no mistake.
  if (typeof text !== 'string') {
    throw reused(
      'This request already succeeded, but its stored response cannot be decrypted because JWT_SECRET has changed.',
    );
  }
  call.replayed();
  return JSON.parse(text) as T;
}

async function doOnce<T>(context: Context, call: IdempotentCall, work: (db: Transactor) => Promise<T>): Promise<T> {
  const { kept, answer } = await transactionBesideFences(context.db, async (tx) => {
    const kept = await lookUp(tx, call);
    if (kept) return { kept };
    const answer = await work(tx);
    const { requestHash } = call;
    const sealed = context.seal.close(call, JSON.stringify(answer));
    if (!(await insertAnswer(tx, nameOf(call), { requestHash, answer: sealed }))) throw inFlight();
    return { answer };
  });
  return kept ? replay<T>(context, call, kept) : (answer as T);
}

async function uploadOnce<T>(
  context: Context,
  call: IdempotentCall,
  source: AsyncIterable<Buffer>,
  work: (source: AsyncIterable<Buffer>, keep: Keep<T>) => Promise<T>,
): Promise<T> {
  const { db, seal } = context;
  const [name, holder, { requestHash }] = [nameOf(call), randomUUID(), call];
  const content = createHash('sha256').update(call.key).update('\0');
  const kept = await db.transaction(async (tx) => {
    const row = await lookUp(tx, call);
    if (!row && !(await insertLease(tx, name, { requestHash, holder }))) throw inFlight();
    return row;
  });
  if (kept) {
    for await (const chunk of source) content.update(chunk);
    if (!kept.content_hash?.equals(content.digest())) throw reused();
    return replay<T>(context, call, kept);
  }
  const heartbeat = setInterval(() => renewLease(db, name, holder).catch(() => undefined), (leaseSeconds / 3) * 1_000);
  try {
    return await work(hashed(source, content), async (tx, answer) => {
      const contentHash = content.copy().digest();
      const sealed = seal.close(call, JSON.stringify(answer));
      if (!(await answerLease(tx, name, { holder, contentHash, answer: sealed }))) throw inFlight();
    });
  } catch (error) {
    // If this fails too, the lease expires.
    await deleteLease(db, name, holder).catch(() => undefined);
    throw error;
  } finally {
    clearInterval(heartbeat);
  }
}

async function* hashed(source: AsyncIterable<Buffer>, hash: ReturnType<typeof createHash>): AsyncGenerator<Buffer> {
  for await (const chunk of source) {
    hash.update(chunk);
    yield chunk;
  }
}

/** Deletes answers that are older than a day. */
export async function sweepIdempotency(db: Db): Promise<void> {
  while (await deleteExpired(db));
}
