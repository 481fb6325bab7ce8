import { Problem } from '@kohort/contract';
import type { Database, Tx } from '../../postgres/database.ts';
import { beat, deleteReceiving, fail, insertJob, type JobKind, markQueued } from '../jobs/ownership.ts';
import { FileReader, type Format, type RowReader } from './file-reader.ts';
import { copyRows, createRows, dropTables } from './staging.sql.ts';

export interface Upload {
  readonly kind: JobKind;
  readonly segmentId: number | null;
  readonly options: object;
  readonly actor: string;
  readonly format: Format;
  readonly reader: RowReader;
  readonly source: AsyncIterable<Buffer>;
  readonly onReceived: (tx: Tx, job: number) => Promise<void>;
}

const MAX_AT_ONCE = 8;
const BEAT_EVERY = 1_000;
/** Characters that one COPY sends. A connection is taken for each, not for the upload, which may be slow. */
const BATCH = 1024 * 1024;

export interface Receiver {
  /** Takes a whole upload in; the number of its job, which is queued by then, or has failed for what is in the file. */
  receive(upload: Upload): Promise<number>;
}

export function createReceiver({
  db,
  owner,
  offer,
}: {
  db: Database;
  owner: string;
  offer: (tx: Tx, job: number) => Promise<void>;
}): Receiver {
  let open = 0;

  /** Reads the upload into the table of its job. While a batch is on its way, the next one is read, and no more. */
  async function stage(id: number, { kind, source }: Upload, file: FileReader): Promise<void> {
    let lines = '';
    let sending: Promise<void> = Promise.resolve();
    const send = async () => {
      await sending;
      sending = copyRows(db, id, kind, lines);
      sending.catch(() => undefined);
      lines = '';
    };
    try {
      // What comes after errors enough is let pass: to hang up would keep the client from reading the answer.
      for await (const chunk of source) {
        lines += file.push(chunk);
        if (lines.length >= BATCH) await send();
      }
      lines += file.end();
      if (lines.length > 0 && file.errors.length === 0) await send();
    } finally {
      // Nothing may still be writing when the table is dropped.
      await sending.catch(() => undefined);
    }
    await sending;
  }

  async function receiveInto(id: number, upload: Upload): Promise<void> {
    const file = new FileReader(upload.format, upload.reader);
    const heart = setInterval(() => {
      beat(db, id, owner, { rows: file.rows, processed: 0 }).catch(() => undefined);
    }, BEAT_EVERY);
    try {
      await createRows(db, id, upload.kind);
      await stage(id, upload, file);
      if (file.errors.length > 0) {
        await db.transaction(async (tx) => {
          await fail(tx, id, owner, file.errors, file.rows);
          await upload.onReceived(tx, id);
        });
        await dropTables(db, id);
        return;
      }
      await db.transaction(async (tx) => {
        if (await markQueued(tx, id, file.rows)) await offer(tx, id);
        await upload.onReceived(tx, id);
      });
    } finally {
      clearInterval(heart);
    }
  }

  return {
    async receive(upload) {
      if (open >= MAX_AT_ONCE) {
        throw new Problem('overloaded', 'Too many files are being received. Try again shortly.', { retryAfter: 5 });
      }
      open++;
      try {
        const { kind, segmentId, options, actor } = upload;
        const id = await insertJob(db, { kind, segmentId, options, actor, owner });
        try {
          await receiveInto(id, upload);
        } catch (error) {
          // Of an upload that broke off nothing is left. If not even that succeeds, it is swept later.
          await deleteReceiving(db, id)
            .then(() => dropTables(db, id))
            .catch(() => undefined);
          throw brokenOff(error);
        }
        return id;
      } finally {
        open--;
      }
    },
  };
}

function brokenOff(error: unknown): unknown {
  const isOfSocket = error instanceof Error && 'code' in error && error.code === 'ECONNRESET';
  return isOfSocket ? new Problem('malformed', 'The upload broke off.', { cause: error }) : error;
}
