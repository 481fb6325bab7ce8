import { once } from 'node:events';
import { PassThrough, type Readable } from 'node:stream';
import { AtMost } from '../../concurrency/at-most.ts';
import type { Database } from '../../postgres/database.ts';
import { type FeedRow, type SnapshotRow, snapshotOf } from './feeds.sql.ts';
import { cursorOf, type FeedsContext, refuseUnready } from './feeds.ts';

const batchRows = 2_000;
const statementTimeoutMs = 60_000;

/** Each snapshot holds a connection for as long as its reader takes. */
export function snapshotPlaces(): AtMost {
  return new AtMost({
    atOnce: 4,
    factor: 2,
    refusal: 'Too many snapshots are being read. Try again shortly.',
    retryAfterSeconds: 5,
  });
}

/** The members as of the last change, which is the last row. */
function rowsOf(db: Database, { id }: FeedRow): AsyncGenerator<SnapshotRow[], void, undefined> {
  return db.stream<SnapshotRow>(snapshotOf(id), { batch: batchRows, statementTimeout: statementTimeoutMs });
}

async function linesOf(context: FeedsContext, rows: readonly SnapshotRow[]): Promise<string> {
  let text = '';
  for (const { slug, user_id, external_id, nonce } of rows) {
    text +=
      nonce === null
        ? `${JSON.stringify({ slug, user_id, external_id })}\n`
        : `${JSON.stringify({ cursor: await cursorOf(context, { id: user_id, nonce }) })}\n`;
  }
  return text;
}

/** Starts to write. Rejects if the first rows fail, when a problem can still be sent. */
export async function openSnapshot(
  context: FeedsContext,
  places: AtMost,
  feed: FeedRow,
  caller: string,
): Promise<Readable> {
  refuseUnready(feed);
  const leave = places.enter(caller);
  const out = new PassThrough();
  const begun = Promise.withResolvers<void>();
  const write = async () => {
    for await (const rows of rowsOf(context.db, feed)) {
      const text = await linesOf(context, rows);
      begun.resolve();
      if (out.destroyed) return;
      // A slow reader slows the query down; one that disconnects ends it.
      if (!out.write(text)) await Promise.race([once(out, 'drain'), once(out, 'close')]);
    }
    out.end();
  };
  write()
    .catch((error) => {
      begun.reject(error);
      out.destroy(error);
    })
    .finally(leave);
  out.on('error', () => undefined);
  await begun.promise;
  return out;
}
