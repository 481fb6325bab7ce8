import { type Change, type Changes, calls } from '../api.ts';
import type { Call } from '../call.ts';
import { KohortError, ResyncRequired } from '../errors.ts';
import { Absence, type AbsenceSettings, isPassing } from './absence.ts';
import { type SnapshotPart, snapshotOf } from './snapshot.ts';

export interface FollowOptions {
  /** The cursor to start from: of a snapshot, of the feed's creation, or of the last batch. Default: the beginning of the feed. */
  readonly after?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  /** The most changes in a batch, up to 1,000, which is the default. */
  readonly limit?: number | undefined;
  /** Seconds for which the service holds a call while nothing happens, up to 30, which is the default. */
  readonly waitSeconds?: number | undefined;
  /**
   * Takes a new snapshot when the position in the feed is gone; the changes after it follow. If a snapshot breaks off, it is called
   * again from the start. Without it, {@link ResyncRequired} ends the iteration.
   */
  readonly onResync?: ((snapshot: AsyncIterable<SnapshotPart>) => Promise<void>) | undefined;
  /** Called for each failed attempt that is followed by another one. */
  readonly onAway?: ((error: unknown) => void) | undefined;
}

/** Changes in order, and the cursor after them, to be stored once they have been processed. */
export interface ChangeBatch {
  readonly changes: readonly Change[];
  readonly cursor: string;
}

/** As the service gives it. */
export type FeedId = number | string;

export interface FeedConnection extends AbsenceSettings {
  /** Makes one attempt. */
  readonly callOnce: Call;
}

const maxBatch = 1_000;
const maxWaitSeconds = 30;
/** How much longer a call may take than the service may hold it. */
const graceMs = 10_000;

export interface Question {
  readonly after: string | undefined;
  readonly limit: number;
  readonly waitSeconds: number;
  readonly signal: AbortSignal | undefined;
}

/** The changes after a cursor, as soon as there are any or the wait has ended. @throws ResyncRequired */
export async function changesAfter(call: Call, feed: FeedId, question: Question): Promise<Changes> {
  const { after, limit, waitSeconds, signal } = question;
  try {
    return (await call(calls.feeds.feedChanges, {
      params: { id: feed },
      query: { after, limit, wait: waitSeconds },
      signal,
      timeoutMs: waitSeconds * 1000 + graceMs,
    })) as Changes;
  } catch (error) {
    if (!(error instanceof KohortError) || error.status !== 410) throw error;
    throw new ResyncRequired('The place in the feed is gone: begin again with a snapshot.', { cause: error });
  }
}

/**
 * The changes of a feed, batch by batch, for as long as the caller iterates. Survives restarts of the service and failures of the
 * network. The next batch is read only when the last one has been processed.
 */
export async function* follow(
  connection: FeedConnection,
  feed: FeedId,
  options: FollowOptions,
): AsyncGenerator<ChangeBatch, void, undefined> {
  const { signal, onResync, onAway, limit = maxBatch, waitSeconds = maxWaitSeconds } = options;
  const absence = new Absence(connection);
  const { callOnce } = connection;
  let { after } = options;

  async function resync(take: NonNullable<typeof onResync>): Promise<string> {
    let cursor: string | null = null;
    async function* watched() {
      for await (const part of snapshotOf(callOnce, feed, signal)) {
        yield part;
        cursor = part.cursor;
      }
    }
    await take(watched());
    if (cursor === null) throw new TypeError('onResync must take the whole snapshot.');
    return cursor;
  }

  /** Undefined when there is no answer yet. */
  async function ask(): Promise<ChangeBatch | undefined> {
    try {
      return await changesAfter(callOnce, feed, { after, limit, waitSeconds, signal });
    } catch (error) {
      if (!(error instanceof ResyncRequired) || !onResync) throw error;
      // After a restore all followers get here at the same time.
      await absence.waitOut(error, signal);
      after = await resync(onResync);
      return undefined;
    }
  }

  for (;;) {
    try {
      const batch = await ask();
      if (!batch) continue;
      absence.ended();
      // Also without changes: a cursor that never moves grows too old.
      if (batch.changes.length > 0 || batch.cursor !== after) yield batch;
      after = batch.cursor;
    } catch (error) {
      if (signal?.aborted || !isPassing(error)) throw error;
      onAway?.(error);
      await absence.waitOut(error, signal);
    }
  }
}
