import { setTimeout as sleep } from 'node:timers/promises';
import { Problem } from '@kohort/contract';
import { AtMost } from '../../concurrency/at-most.ts';
import { onBehalfOf, theService } from '../../concurrency/party.ts';
import { validReaders } from '../auth/auth.ts';
import { validKeys } from '../keys/keys.ts';
import type { KeyTags } from '../segments/segments.ts';
import { selectFeedsById } from './feeds.sql.ts';
import { cursorOf, type FeedRow, type FeedsContext, type Position, seenFeeds } from './feeds.ts';
import { SharedReading } from './reading.ts';

/** A follower and their credential. */
export interface FollowedBy {
  readonly actor: string;
  readonly tags?: KeyTags;
  readonly keyId?: number | undefined;
  readonly sessionId?: string | undefined;
}

export interface FollowersOptions {
  readonly context: FeedsContext;
  readonly onError: (error: unknown, what: string) => void;
  readonly maxFollowers?: number;
  /** How often the feeds and credentials of followers are checked. */
  readonly pollEveryMs?: number;
  readonly keepAliveMs?: number;
}

interface Follower {
  readonly by: FollowedBy;
  /** As of the last check. */
  feed: FeedRow;
  readonly end: AbortController;
}

/** The streams and long polls of this process. */
export class Followers {
  readonly #options: Required<FollowersOptions>;
  readonly #places: AtMost;
  readonly #followers = new Set<Follower>();
  readonly #reading: SharedReading;
  #checking: Promise<void> | undefined;

  constructor(options: FollowersOptions) {
    this.#options = { maxFollowers: 2_000, pollEveryMs: 1_000, keepAliveMs: 15_000, ...options };
    this.#reading = new SharedReading(options.context);
    this.#places = new AtMost({
      atOnce: this.#options.maxFollowers,
      // One caller can get most of the places, never all.
      factor: 7,
      refusal: 'Too many streams of feeds are open. Poll for changes instead.',
      retryAfterSeconds: 30,
    });
  }

  get count(): number {
    return this.#followers.size;
  }

  /** Takes a place for a long poll. */
  enter(caller: string): () => void {
    return this.#places.enter(caller);
  }

  /**
   * Streams the changes of a feed after a position as server-sent events, until the follower disconnects, the credential or the
   * feed ends, or the service stops. Nothing is buffered for a slow reader: the next piece is read once the last one is taken.
   * @throws Problem 503 when there are too many followers.
   */
  follow(feed: FeedRow, place: Position, by: FollowedBy, left: AbortSignal): AsyncGenerator<Buffer> {
    const leavePlace = this.#places.enter(by.actor);
    const follower: Follower = { by, feed, end: new AbortController() };
    this.#followers.add(follower);
    const leave = () => {
      follower.end.abort();
      this.#followers.delete(follower);
      leavePlace();
    };
    left.addEventListener('abort', leave, { once: true });
    if (left.aborted) leave();
    this.#checking ??= onBehalfOf(theService, () => this.#keepChecking());
    return this.#eventsFor(follower, place, leave);
  }

  async *#eventsFor(follower: Follower, from: Position, leave: () => void): AsyncGenerator<Buffer> {
    const { context, keepAliveMs } = this.#options;
    const { tail } = context;
    const { signal } = follower.end;
    // An event without data is not dispatched, but its id is sent on reconnection.
    const placeOnly = async (place: Position) => Buffer.from(`id: ${await cursorOf(context, place)}\n\n`);
    const isOver = () => signal.aborted || tail.isClosed;
    try {
      yield await placeOnly(from);
      let quietSince = performance.now();
      for (let place = from; !isOver(); ) {
        const { changes, events, position } = await this.#reading.after(follower.feed, place);
        const quietMs = performance.now() - quietSince;
        if (changes.length > 0) yield events;
        // Keeps proxies from closing the connection, and advances the id past changes of other feeds.
        else if (quietMs >= keepAliveMs) yield await placeOnly(position);
        else if (position.id === place.id) await tail.waitAfter(place.id, keepAliveMs - quietMs, signal);
        if (changes.length > 0 || quietMs >= keepAliveMs) quietSince = performance.now();
        place = position;
      }
    } catch (error) {
      if (!(error instanceof Problem) || error.code !== 'resync') throw error;
      yield Buffer.from(`event: resync\ndata: ${JSON.stringify({ code: error.code, detail: error.message })}\n\n`);
    } finally {
      leave();
    }
  }

  async #keepChecking(): Promise<void> {
    const { context, onError, pollEveryMs } = this.#options;
    while (this.#followers.size > 0 && !context.tail.isClosed) {
      await sleep(pollEveryMs, undefined, { ref: false });
      await this.#check().catch((error) => onError(error, 'checking followers of feeds failed'));
    }
    this.#checking = undefined;
  }

  /** Ends streams whose feed is deleted or whose credential can no longer read it. */
  async #check(): Promise<void> {
    const { db } = this.#options.context;
    const followers = [...this.#followers];
    const distinct = <T>(of: (by: FollowedBy) => T | undefined) => [
      ...new Set(followers.map(({ by }) => of(by)).filter((one) => one !== undefined)),
    ];
    const [keys, sessions] = await Promise.all([
      validKeys(
        db,
        distinct(({ keyId }) => keyId),
      ),
      validReaders(
        db,
        distinct(({ sessionId }) => sessionId),
      ),
    ]);
    const isValid = ({ by: { keyId, sessionId } }: Follower) =>
      keyId !== undefined ? keys.has(keyId) : sessions.has(sessionId ?? '');
    // Followers with the same tags see the same feeds, so they share one statement.
    for (const those of Map.groupBy(followers, ({ by }) => JSON.stringify(by.tags)).values()) {
      const feeds = await selectFeedsById(db, [...new Set(those.map(({ feed }) => feed.id))]);
      const seen = new Map((await seenFeeds(db, feeds, those[0]?.by.tags)).map((feed) => [feed.id, feed]));
      for (const follower of those) {
        const feed = seen.get(follower.feed.id);
        if (feed && isValid(follower)) follower.feed = feed;
        else follower.end.abort();
      }
    }
  }
}
