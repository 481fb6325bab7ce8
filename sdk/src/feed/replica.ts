import type { Feed } from '../api.ts';
import { NotFollowed, ResyncRequired, StaleReplica } from '../errors.ts';
import { Absence, isPassing } from './absence.ts';
import { changesAfter, type FeedConnection, type FeedId } from './follow.ts';
import { Followed, readUser } from './followed.ts';
import { readFeed, slugsOf } from './followed-by.ts';
import { snapshotOf } from './snapshot.ts';

export interface ReplicaOptions {
  /** Milliseconds: a replica that has received nothing for longer refuses to answer. Default 60,000. */
  readonly maxAgeMs?: number | undefined;
  /** Closes the replica, and gives up waiting for the first snapshot. */
  readonly signal?: AbortSignal | undefined;
  /** Called after each failed attempt to read changes. */
  readonly onAway?: ((error: unknown) => void) | undefined;
}

const defaultMaxAgeMs = 60_000;
const batch = 1_000;
const maxWaitMs = 30_000;
const minMaxAgeMs = 3_000;
const closed = 'The replica is closed.';

interface Waiting {
  readonly since: number;
  /** Over failures too, as long as there is another try. */
  readonly isPatient: boolean;
  resolve(): void;
  reject(error: unknown): void;
}

/** A monotonic clock, in milliseconds. */
export type Clock = () => number;

/** The segments of a feed in memory. It answers at once, without the network, from its current state. */
export class Replica {
  readonly #connection: FeedConnection;
  readonly #feed: FeedId;
  readonly #options: ReplicaOptions;
  readonly #now: Clock;
  readonly #maxAgeMs: number;
  readonly #absence: Absence;
  readonly #closing = new AbortController();
  #followed = new Followed();
  #cursor: string | undefined;
  /** When the service was asked what is known now. */
  #asOf = Number.NEGATIVE_INFINITY;
  /** The feed as it was before the last changes came, and when it was read. */
  #readBefore: Feed | undefined;
  #readAt = Number.NEGATIVE_INFINITY;
  #failure: unknown;
  #isOver = false;
  #waiting: Waiting[] = [];
  /** Ends a call that the service holds, and a pause. */
  #wake = new AbortController();

  constructor(connection: FeedConnection, feed: FeedId, options: ReplicaOptions, now: Clock) {
    this.#connection = connection;
    this.#feed = feed;
    this.#options = options;
    this.#now = now;
    this.#maxAgeMs = options.maxAgeMs ?? defaultMaxAgeMs;
    if (!(this.#maxAgeMs >= minMaxAgeMs)) throw new RangeError(`maxAgeMs must be at least ${minMaxAgeMs}.`);
    this.#absence = new Absence(connection);
    options.signal?.addEventListener('abort', () => this.close(), { once: true });
  }

  /** The maximum age of the state, in milliseconds: everything that the feed had published by then is included. */
  get ageMs(): number {
    return this.#now() - this.#asOf;
  }

  /** The cursor up to which changes are applied; undefined while a new snapshot is being read. */
  get cursor(): string | undefined {
    return this.#cursor;
  }

  /** The segments that the feed follows, sorted. */
  get slugs(): readonly string[] {
    return this.#followed.slugs;
  }

  /**
   * Whether a user, `2` or `ext:ann`, is in a segment of the feed; a user that the service does not know is in none.
   * @throws StaleReplica past the maximum age, NotFollowed for a segment that the feed does not follow.
   */
  isIn(user: string, slug: string): boolean {
    this.#refuseStale();
    const isIn = this.#followed.has(readUser(user), slug);
    if (isIn === undefined) throw new NotFollowed(`The feed does not follow the segment ${slug}.`);
    return isIn;
  }

  /** The segments of the feed that a user is in, sorted. @throws StaleReplica */
  segmentsOf(user: string): string[] {
    this.#refuseStale();
    const key = readUser(user);
    return this.#followed.slugs.filter((slug) => this.#followed.has(key, slug));
  }

  /** Reads from the service now, and resolves when all changes are applied. @throws the error that prevented it. */
  refresh(): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#isOver) return reject(this.#failure);
      this.#waiting.push({ since: this.#now(), isPatient: false, resolve, reject });
      this.#wake.abort();
    });
  }

  /** Resolves once something is known. */
  untilLoaded(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ since: Number.NEGATIVE_INFINITY, isPatient: true, resolve, reject });
    });
  }

  /** Stops following; from then on the replica does not answer. */
  close(): void {
    this.#failure ??= this.#options.signal?.aborted ? this.#options.signal.reason : new StaleReplica(closed);
    this.#isOver = true;
    this.#asOf = Number.NEGATIVE_INFINITY;
    this.#followed = new Followed();
    this.#closing.abort();
    this.#wake.abort();
    this.#refuseWaiting();
  }

  /** Applies changes until the replica is closed, or the service refuses for good. */
  async run(): Promise<void> {
    while (!this.#isOver) {
      this.#wake = new AbortController();
      try {
        await (this.#cursor === undefined ? this.#load() : this.#catchUp(this.#cursor));
        this.#absence.ended();
        this.#failure = undefined;
      } catch (error) {
        // It was asked for a refresh, or to end.
        if (!this.#wake.signal.aborted || this.#cursor === undefined) await this.#failed(error);
      }
    }
  }

  async #failed(error: unknown): Promise<void> {
    if (this.#isOver) return;
    this.#failure = error;
    this.#options.onAway?.(error);
    const mustResync = error instanceof ResyncRequired;
    if (mustResync) this.#cursor = undefined;
    this.#isOver = !mustResync && !isPassing(error);
    if (!mustResync) this.#refuseWaiting();
    if (!this.#isOver) await this.#absence.waitOut(error, this.#wake.signal).catch(() => undefined);
  }

  #refuseStale(): void {
    if (this.ageMs <= this.#maxAgeMs) return;
    throw new StaleReplica(`The replica has heard nothing for more than ${this.#maxAgeMs} ms.`, {
      cause: this.#failure,
    });
  }

  #refuseWaiting(): void {
    const isRefused = ({ isPatient }: Waiting) => this.#isOver || !isPatient;
    const refused = this.#waiting.filter(isRefused);
    this.#waiting = this.#waiting.filter((one) => !isRefused(one));
    for (const { reject } of refused) reject(this.#failure);
  }

  /** The old state keeps answering until the new snapshot is complete. */
  async #load(): Promise<void> {
    const askedAt = this.#now();
    const { signal } = this.#closing;
    const followed = new Followed();
    let cursor: string | undefined;
    for await (const part of snapshotOf(this.#connection.callOnce, this.#feed, signal)) {
      for (const member of part.members) followed.add(member);
      cursor = part.cursor ?? undefined;
    }
    // Read after the snapshot: the changes that follow it lead to any newer names.
    const feed = await this.#readFeed();
    followed.begin(await slugsOf(this.#connection.callOnce, feed, signal), feed.tags);
    if (this.#isOver) return;
    [this.#followed, this.#cursor, this.#readBefore] = [followed, cursor, undefined];
    this.#knows(askedAt);
  }

  async #catchUp(after: string): Promise<void> {
    const askedAt = this.#now();
    const isUrgent = this.#waiting.length > 0 || this.ageMs > this.#maxAgeMs;
    // Often enough that the replica of a quiet feed does not become stale.
    const oftenMs = Math.min(this.#maxAgeMs / 3, maxWaitMs);
    const waitSeconds = isUrgent ? 0 : Math.floor(oftenMs / 1000);
    const question = { after, limit: batch, waitSeconds, signal: this.#wake.signal };
    const { changes, cursor } = await changesAfter(this.#connection.callOnce, this.#feed, question);
    if (this.#isOver) return;
    for (const change of changes) this.#followed.apply(change);
    this.#cursor = cursor;
    const heldUntil = askedAt + waitSeconds * 1000;
    // If nothing came, the service looked last when the wait ended.
    if (changes.length === batch) return;
    this.#knows(changes.length === 0 && this.#now() >= heldUntil ? heldUntil : askedAt);
    await this.#checkFeed(oftenMs);
  }

  /** Whether the feed follows other segments now, which no change reports: compared once all changes up to then are applied. */
  async #checkFeed(oftenMs: number): Promise<void> {
    if (this.#readBefore && !this.#followed.isOf(this.#readBefore)) this.#cursor = undefined;
    this.#readBefore = this.#now() - this.#readAt < oftenMs ? undefined : await this.#readFeed();
  }

  async #readFeed(): Promise<Feed> {
    this.#readAt = this.#now();
    return readFeed(this.#connection.callOnce, this.#feed, this.#closing.signal);
  }

  /** Everything that the feed had published at a moment. */
  #knows(asOf: number): void {
    this.#asOf = asOf;
    const served = this.#waiting.filter(({ since }) => since <= asOf);
    this.#waiting = this.#waiting.filter(({ since }) => since > asOf);
    for (const { resolve } of served) resolve();
  }
}

/** Resolves once the first snapshot is in. @throws what the service refuses with, or the reason of the signal. */
export async function openReplica(
  connection: FeedConnection,
  feed: FeedId,
  options: ReplicaOptions = {},
  now: Clock = () => performance.now(),
): Promise<Replica> {
  options.signal?.throwIfAborted();
  const replica = new Replica(connection, feed, options, now);
  const isLoaded = replica.untilLoaded();
  void replica.run();
  await isLoaded;
  return replica;
}
