import { Problem } from '@kohort/contract';
import { Turns } from '../../concurrency/turns.ts';
import { type JobRow, selectJob } from '../../jobs/queue.ts';
import type { Database, Db } from '../../postgres/database.ts';
import type { FileReader } from './file-reader.ts';
import { copyRows, type ImportKind } from './staging.sql.ts';

/** Bytes that one COPY sends. A connection is taken for each, not for the upload, which may be slow. */
const batchBytes = 1024 * 1024;
/** Bytes read in one go: well under a millisecond's work. */
const pieceBytes = 4 * 1024;
/** Reading goes on for so long before calls that came in meanwhile get their turn. */
const turnMs = 1;

/** Characters that are put together before they become bytes. */
const textChars = 16 * 1024;

/**
 * Gathers text as bytes: text that has been put together bit by bit is gone through by the garbage collector bit by bit,
 * again and again.
 */
class Lines {
  #bytes: Buffer[] = [];
  #text = '';
  #size = 0;

  /** Roughly, in bytes. */
  get size(): number {
    return this.#size + this.#text.length;
  }

  add(text: string): void {
    this.#text += text;
    if (this.#text.length >= textChars) this.#settle();
  }

  #settle(): void {
    const bytes = Buffer.from(this.#text);
    this.#bytes.push(bytes);
    this.#size += bytes.length;
    this.#text = '';
  }

  /** All that there is, which is then forgotten. */
  take(): Buffer {
    this.#settle();
    const all = Buffer.concat(this.#bytes);
    this.#bytes = [];
    this.#size = 0;
    return all;
  }
}

interface Staged {
  readonly kind: ImportKind;
  readonly source: AsyncIterable<Buffer>;
}

/** Reads the upload into the table of its job. While a batch is on its way, the next one is read, and no more. */
export async function stage(db: Database, id: number, { kind, source }: Staged, file: FileReader): Promise<void> {
  const lines = new Lines();
  let isCancelled = false;
  let sending: Promise<void> = Promise.resolve();
  const copy = async (batch: Buffer) => {
    try {
      await copyRows(db, id, kind, batch);
    } catch (error) {
      // Of a job that was cancelled, or swept, the table is taken away from under us.
      isCancelled = (await jobOf(db, id)).state === 'cancelled';
      if (!isCancelled) throw error;
    }
  };
  const send = async () => {
    await sending;
    sending = copy(lines.take());
    sending.catch(() => undefined);
  };
  try {
    // What comes after errors enough, or is of no use, is let pass: to hang up would keep the client from reading the answer.
    const turns = new Turns({ atMostMs: turnMs });
    for await (const chunk of source) {
      for (let at = 0; at < chunk.length && !isCancelled; at += pieceBytes) {
        lines.add(file.push(chunk.subarray(at, at + pieceBytes)));
        if (lines.size >= batchBytes) await send();
        if (turns.isOver) await turns.pause();
      }
    }
    if (!isCancelled) lines.add(file.end());
    if (lines.size > 0 && file.errors.length === 0) await send();
  } finally {
    // Nothing may still be writing when the table is dropped.
    await sending.catch(() => undefined);
  }
  await sending;
}

export async function jobOf(db: Db, id: number): Promise<JobRow> {
  const job = await selectJob(db, id);
  if (job) return job;
  // Nothing was heard of us for so long that it was taken for broken off.
  throw new Problem('unavailable', 'The upload was given up on our side. Send it again.', { retryAfter: 1 });
}
