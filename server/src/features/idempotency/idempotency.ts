import { createHash, randomUUID } from 'node:crypto';
import { Problem } from '@kohort/contract';
import type { IdempotentCall } from '../../http/idempotency.ts';
import type { Database, Db, Transactor, Tx } from '../../postgres/database.ts';
import { transactionBesideFences } from '../fences/fences.ts';
import {
  answerHold,
  type CallName,
  type CallRow,
  deleteHold,
  deleteOver,
  HOLD_SECONDS,
  insertAnswer,
  insertHold,
  renewHold,
  selectCall,
  tryLock,
} from './idempotency.sql.ts';
import { createSeal } from './seal.ts';

/**
 * Does the work and keeps its answer, in one transaction; the same call again gets the same answer and nothing else happens. A
 * call without a key is just done. Work that fails leaves nothing, so that the key is free again.
 */
export type Once = <T>(call: IdempotentCall | undefined, work: (db: Transactor) => Promise<T>) => Promise<T>;

/** Keeps the answer of an upload, in the transaction that makes the effect. */
export type Keep<T> = (tx: Tx, answer: T) => Promise<void>;

/** The same for work that takes longer than a transaction may: it reads `source` to the end, then calls `keep`. */
export type OnceUploaded = <T>(
  call: IdempotentCall | undefined,
  source: AsyncIterable<Buffer>,
  work: (source: AsyncIterable<Buffer>, keep: Keep<T>) => Promise<T>,
) => Promise<T>;

export interface Idempotency {
  readonly once: Once;
  readonly onceUploaded: OnceUploaded;
}

function inFlight(): Problem {
  return new Problem('idempotency_in_flight', 'A call with this Idempotency-Key is under way. Ask again shortly.', {
    retryAfter: 1,
  });
}

function reused(detail = 'This Idempotency-Key was used for another request.'): Problem {
  return new Problem('idempotency_key_reused', detail);
}

function nameOf({ actor, key }: IdempotentCall): CallName {
  return { actor, keyHash: createHash('sha256').update(actor).update('\0').update(key).digest() };
}

/** What has been kept of this very call, or is being done; for another request under the same key there is nothing. */
async function lookUp(tx: Tx, call: IdempotentCall): Promise<CallRow | undefined> {
  const name = nameOf(call);
  if (!(await tryLock(tx, name))) throw inFlight();
  const row = await selectCall(tx, name);
  if (row && !row.request_hash.equals(call.requestHash)) throw reused();
  if (row && row.answer === null) throw inFlight();
  return row;
}

async function* hashed(source: AsyncIterable<Buffer>, hash: ReturnType<typeof createHash>): AsyncGenerator<Buffer> {
  for await (const chunk of source) {
    hash.update(chunk);
    yield chunk;
  }
}

export function createIdempotency({ db, secret }: { db: Database; secret: string }): Idempotency {
  const seal = createSeal(secret);

  function replay<T>(call: IdempotentCall, row: CallRow): T {
    const text = row.answer && seal.open(call, row.answer);
    // Done again it might be done twice; so it is refused, although the client did nothing wrong.
    if (typeof text !== 'string') {
      throw reused(
        'The answer to this Idempotency-Key was kept under a secret the service no longer has. It was done.',
      );
    }
    call.replayed();
    return JSON.parse(text) as T;
  }

  return {
    async once<T>(call: IdempotentCall | undefined, work: (db: Transactor) => Promise<T>): Promise<T> {
      if (!call) return work(db);
      const { kept, answer } = await transactionBesideFences(db, async (tx) => {
        const kept = await lookUp(tx, call);
        if (kept) return { kept };
        const answer = await work(tx);
        const { requestHash } = call;
        const sealed = seal.close(call, JSON.stringify(answer));
        if (!(await insertAnswer(tx, nameOf(call), { requestHash, answer: sealed }))) throw inFlight();
        return { answer };
      });
      return kept ? replay<T>(call, kept) : (answer as T);
    },

    async onceUploaded<T>(
      call: IdempotentCall | undefined,
      source: AsyncIterable<Buffer>,
      work: (source: AsyncIterable<Buffer>, keep: Keep<T>) => Promise<T>,
    ): Promise<T> {
      if (!call) return work(source, async () => undefined);
      const [name, holder, { requestHash }] = [nameOf(call), randomUUID(), call];
      const content = createHash('sha256').update(call.key).update('\0');
      const kept = await db.transaction(async (tx) => {
        const row = await lookUp(tx, call);
        if (!row && !(await insertHold(tx, name, { requestHash, holder }))) throw inFlight();
        return row;
      });
      if (kept) {
        for await (const chunk of source) content.update(chunk);
        if (!kept.content_hash?.equals(content.digest())) throw reused();
        return replay<T>(call, kept);
      }
      const pulse = setInterval(() => renewHold(db, name, holder).catch(() => undefined), (HOLD_SECONDS / 3) * 1_000);
      try {
        return await work(hashed(source, content), async (tx, answer) => {
          const contentHash = content.copy().digest();
          const sealed = seal.close(call, JSON.stringify(answer));
          if (!(await answerHold(tx, name, { holder, contentHash, answer: sealed }))) throw inFlight();
        });
      } catch (error) {
        // Where even this fails, the hold lapses by itself.
        await deleteHold(db, name, holder).catch(() => undefined);
        throw error;
      } finally {
        clearInterval(pulse);
      }
    },
  };
}

/** Deletes the answers whose day is over. */
export async function sweepIdempotency(db: Db): Promise<void> {
  while (await deleteOver(db));
}
