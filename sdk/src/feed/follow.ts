import { type Change, type Changes, calls } from '../api.ts';
import type { Call } from '../call.ts';
import { KohortError, ResyncRequired } from '../errors.ts';
import { Absence, type AbsenceSettings, isPassing } from './absence.ts';
import { type SnapshotPart, snapshotOf } from './snapshot.ts';

export interface FollowOptions {
  /** The cursor to go on from: of a snapshot, of the feed's creation, or of the last batch. Default the beginning of the feed. */
  readonly after?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Changes a batch has at most, up to 1,000, which is the default. */
  readonly limit?: number | undefined;
  /** Seconds for which the service holds a question while nothing happens, up to 30, which is the default. */
  readonly waitSeconds?: number | undefined;
  /**
   * Takes a new snapshot when the place in the feed is gone; the changes after it follow. What it was given before a snapshot
   * that broke off comes again from the start. Without this, {@link ResyncRequired} ends the iteration.
   */
  readonly onResync?: ((snapshot: AsyncIterable<SnapshotPart>) => Promise<void>) | undefined;
  /** Called for each try that failed and is followed by another one. */
  readonly onAway?: ((error: unknown) => void) | undefined;
}

/** Changes in order, and the place after them, to be kept once they have been dealt with. */
export interface ChangeBatch {
  readonly changes: readonly Change[];
  readonly cursor: string;
}

/** As the service gives it. */
export type FeedId = number | string;

export interface FeedConnection extends AbsenceSettings {
  /** Makes one try. */
  readonly callOnce: Call;
}

const maxBatch = 1_000;
const maxWaitSeconds = 30;
/** How much longer than it may be held a question may take. */
const graceMs = 10_000;

export interface Question {
  readonly after: string | undefined;
  readonly limit: number;
  readonly waitSeconds: number;
  readonly signal: AbortSignal | undefined;
}

/** What came after a cursor, once there is something or the wait is over. @throws ResyncRequired */
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
 * The changes of a feed, batch by batch, for as long as they are asked for; over restarts of the service and of the network. The
 * next batch is asked for only when the last one has been dealt with.
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
      // After a restore every follower is sent here at once.
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
      // Also without changes: a cursor that is never moved on grows too old.
      if (batch.changes.length > 0 || batch.cursor !== after) yield batch;
      after = batch.cursor;
    } catch (error) {
      if (signal?.aborted || !isPassing(error)) throw error;
      onAway?.(error);
      await absence.waitOut(error, signal);
    }
  }
}
