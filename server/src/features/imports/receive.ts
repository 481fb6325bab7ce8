import { AtMost } from '../../concurrency/at-most.ts';
import { deleteReceiving, fail, heartbeat, insertReceiving, markQueued } from '../../jobs/queue.ts';
import type { Database, Tx } from '../../postgres/database.ts';
import { FileReader, type Format, type RowReader } from './file-reader.ts';
import { jobOf, stage } from './stage.ts';
import { createRows, dropTables, type ImportKind } from './staging.sql.ts';

export interface Upload {
  readonly kind: ImportKind;
  readonly lane: string;
  readonly segmentId: number | null;
  readonly options: object;
  readonly actor: string;
  readonly format: Format;
  readonly reader: RowReader;
  /** The error for a file without rows. */
  readonly emptyFault?: string | undefined;
  readonly source: AsyncIterable<Buffer>;
  readonly onReceived: (tx: Tx, job: number) => Promise<void>;
}

export interface Receiving {
  readonly db: Database;
  /** Identifies this process in the queue. */
  readonly owner: string;
  readonly onQueued: () => void;
  readonly places: AtMost;
}

const heartbeatMs = 1_000;

/** One caller may hold at most as many places as are free, so that slow uploads leave room for other callers. */
export function placesForUploads(): AtMost {
  return new AtMost({
    atOnce: 8,
    factor: 1,
    refusal: 'Too many files are being received. Try again shortly.',
    retryAfterSeconds: 5,
  });
}

/**
 * Receives a whole upload and returns the id of its job. The job is then queued, failed because of the file, or cancelled.
 */
export async function receive(context: Receiving, upload: Upload): Promise<number> {
  const { db, owner, places } = context;
  const leave = places.enter(upload.actor);
  try {
    const id = await insertReceiving(db, owner, upload);
    try {
      await receiveInto(context, id, upload);
    } catch (error) {
      // A broken upload leaves nothing behind. If deleting fails now, the sweep does it later.
      await deleteReceiving(db, id)
        .then(() => dropTables(db, id))
        .catch(() => undefined);
      throw error;
    }
    return id;
  } finally {
    leave();
  }
}

async function receiveInto({ db, owner, onQueued }: Receiving, id: number, upload: Upload): Promise<void> {
  const file = new FileReader(upload.format, upload.reader);
  const heartbeats = setInterval(() => {
    heartbeat(db, owner, [{ id, rows: file.rows, processed: 0 }]).catch(() => undefined);
  }, heartbeatMs);
  try {
    await createRows(db, id, upload.kind);
    await stage(db, id, upload, file);
    if (file.rows === 0 && file.errors.length === 0 && upload.emptyFault !== undefined) {
      file.errors.push({ line: null, message: upload.emptyFault });
    }
    if (file.errors.length > 0) {
      await db.transaction(async (tx) => {
        if (!(await fail(tx, id, owner, file.errors, file.rows))) await jobOf(tx, id);
        await upload.onReceived(tx, id);
      });
      await dropTables(db, id);
      return;
    }
    const isQueued = await db.transaction(async (tx) => {
      const isOurs = await markQueued(tx, id, file);
      if (!isOurs) await jobOf(tx, id);
      await upload.onReceived(tx, id);
      return isOurs;
    });
    if (isQueued) onQueued();
    else await dropTables(db, id);
  } finally {
    clearInterval(heartbeats);
  }
}
