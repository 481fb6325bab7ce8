import { setImmediate as nextTurn } from 'node:timers/promises';
import { Problem } from '@kohort/contract';
import { AtMost } from '../../concurrency/at-most.ts';
import {
  deleteReceiving,
  fail,
  heartbeat,
  insertReceiving,
  type JobRow,
  markQueued,
  selectJob,
} from '../../jobs/queue.ts';
import type { Database, Db, Tx } from '../../postgres/database.ts';
import { FileReader, type Format, type RowReader } from './file-reader.ts';
import { copyRows, createRows, dropTables, type ImportKind } from './staging.sql.ts';

export interface Upload {
  readonly kind: ImportKind;
  readonly lane: string;
  readonly segmentId: number | null;
  readonly options: object;
  readonly actor: string;
  readonly format: Format;
  readonly reader: RowReader;
  /** Fails a file without rows. */
  readonly emptyFault?: string | undefined;
  readonly source: AsyncIterable<Buffer>;
  readonly onReceived: (tx: Tx, job: number) => Promise<void>;
}

const heartbeatMs = 1_000;
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

export interface Receiver {
  /** Takes a whole upload in; the number of its job, which is queued by then, has failed for what is in the file, or was cancelled. */
  receive(upload: Upload): Promise<number>;
}

export function createReceiver({
  db,
  owner,
  onQueued,
}: {
  db: Database;
  /** Of this process, in the queue. */
  owner: string;
  onQueued: () => void;
}): Receiver {
  // One caller has at most as many as are free, so that uploads that dawdle leave room for those of others.
  const places = new AtMost({
    atOnce: 8,
    factor: 1,
    refusal: 'Too many files are being received. Try again shortly.',
    retryAfterSeconds: 5,
  });

  /** Reads the upload into the table of its job. While a batch is on its way, the next one is read, and no more. */
  async function stage(id: number, { kind, source }: Upload, file: FileReader): Promise<void> {
    const lines = new Lines();
    let isCancelled = false;
    let sending: Promise<void> = Promise.resolve();
    const copy = async (batch: Buffer) => {
      try {
        await copyRows(db, id, kind, batch);
      } catch (error) {
        // Of a job that was cancelled, or swept, the table is taken away from under us.
        isCancelled = (await present(db, id)).state === 'cancelled';
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
      let began = performance.now();
      for await (const chunk of source) {
        for (let at = 0; at < chunk.length && !isCancelled; at += pieceBytes) {
          lines.add(file.push(chunk.subarray(at, at + pieceBytes)));
          if (lines.size >= batchBytes) await send();
          if (performance.now() - began < turnMs) continue;
          await nextTurn();
          began = performance.now();
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

  async function receiveInto(id: number, upload: Upload): Promise<void> {
    const file = new FileReader(upload.format, upload.reader);
    const heartbeats = setInterval(() => {
      heartbeat(db, owner, [{ id, rows: file.rows, processed: 0 }]).catch(() => undefined);
    }, heartbeatMs);
    try {
      await createRows(db, id, upload.kind);
      await stage(id, upload, file);
      if (file.rows === 0 && file.errors.length === 0 && upload.emptyFault !== undefined) {
        file.errors.push({ line: null, message: upload.emptyFault });
      }
      if (file.errors.length > 0) {
        await db.transaction(async (tx) => {
          if (!(await fail(tx, id, owner, file.errors, file.rows))) await present(tx, id);
          await upload.onReceived(tx, id);
        });
        await dropTables(db, id);
        return;
      }
      const isQueued = await db.transaction(async (tx) => {
        const isOurs = await markQueued(tx, id, file);
        if (!isOurs) await present(tx, id);
        await upload.onReceived(tx, id);
        return isOurs;
      });
      if (isQueued) onQueued();
      else await dropTables(db, id);
    } finally {
      clearInterval(heartbeats);
    }
  }

  return {
    async receive(upload) {
      const leave = places.enter(upload.actor);
      try {
        const id = await insertReceiving(db, owner, upload);
        try {
          await receiveInto(id, upload);
        } catch (error) {
          // Of an upload that broke off nothing is left. If not even that succeeds, it is swept later.
          await deleteReceiving(db, id)
            .then(() => dropTables(db, id))
            .catch(() => undefined);
          throw error;
        }
        return id;
      } finally {
        leave();
      }
    },
  };
}

async function present(db: Db, id: number): Promise<JobRow> {
  const job = await selectJob(db, id);
  if (job) return job;
  // Nothing was heard of us for so long that it was taken for broken off.
  throw new Problem('unavailable', 'The upload was given up on our side. Send it again.', { retryAfter: 1 });
}
