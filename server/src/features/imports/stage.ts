import { Problem } from '@kohort/contract';
import { Turns } from '../../concurrency/turns.ts';
import { type JobRow, selectJob } from '../../jobs/queue.ts';
import type { Database, Db } from '../../postgres/database.ts';
import type { FileReader } from './file-reader.ts';
import { copyRows, type ImportKind } from './staging.sql.ts';

/** Bytes per COPY. Each COPY takes a connection for itself; the upload, which may be slow, holds none. */
const batchBytes = 1024 * 1024;
/** Bytes parsed at a time: well under a millisecond of work. */
const pieceBytes = 4 * 1024;
/** How long parsing may run before other calls get their turn. */
const turnMs = 1;

/** Characters that are joined before they are encoded. */
const textChars = 16 * 1024;

/**
 * Collects text as bytes: a string that is concatenated piece by piece keeps its pieces, which the garbage collector would traverse
 * again and again.
 */
class Lines {
  #bytes: Buffer[] = [];
  #text = '';
  #size = 0;

  /** The approximate size in bytes. */
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

  /** Returns the collected bytes, and starts anew. */
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

/** Copies the upload into the table of its job. While one batch is being sent, only the next one is read. */
export async function stage(db: Database, id: number, { kind, source }: Staged, file: FileReader): Promise<void> {
  const lines = new Lines();
  let isCancelled = false;
  let sending: Promise<void> = Promise.resolve();
  const copy = async (batch: Buffer) => {
    try {
      await copyRows(db, id, kind, batch);
    } catch (error) {
      // If the job was cancelled or swept, its table was dropped during the COPY.
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
    // The rest of a failed file is read and discarded: closing the connection would keep the client from reading the answer.
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
    // No COPY may be running when the table is dropped.
    await sending.catch(() => undefined);
  }
  await sending;
}

export async function jobOf(db: Db, id: number): Promise<JobRow> {
  const job = await selectJob(db, id);
  if (job) return job;
  // The lease expired, so the upload was taken for broken.
  throw new Problem('unavailable', 'The service aborted the upload. Send it again.', { retryAfter: 1 });
}
