import { type Api, calls, type Job, type Resolved } from './api.ts';
import { createReads, maxUsers } from './batch.ts';
import { type CacheOptions, cached } from './cache.ts';
import { type Call, type CallInput, type CallShape, type ConnectionOptions, createCall } from './call.ts';
import { type ChangeBatch, type FeedId, type FollowOptions, follow } from './feed/follow.ts';
import { openReplica, type Replica, type ReplicaOptions } from './feed/replica.ts';
import { type SnapshotPart, snapshotOf } from './feed/snapshot.ts';
import { type FollowJobOptions, followJob } from './follow-job.ts';
import { unlessAborted } from './sleep.ts';

export interface ClientOptions extends ConnectionOptions {
  /** Keeps answers of `segmentsOf` and `isIn` for a while. Without it each is read from the service. */
  readonly cache?: CacheOptions | undefined;
}

export interface ReadOptions {
  readonly signal?: AbortSignal | undefined;
}

/** Every call of the service, grouped as in the documentation, and the questions that applications ask most. */
export interface Client extends Api {
  /** The segments a user is in, sorted. A user is `2` or `ext:shopper-4`; an unknown one is a `KohortError` 404. */
  segmentsOf(user: string, options?: ReadOptions): Promise<string[]>;
  /** Whether a user is in a segment; false for a segment that does not exist. */
  isIn(user: string, slug: string, options?: ReadOptions): Promise<boolean>;
  /** The segments of any number of users, in the order asked; `segments` is null for an unknown user. */
  resolve(users: readonly string[], segments?: readonly string[], options?: ReadOptions): Promise<Resolved[]>;
  /** A job as it is now, and after each change, until it ends. Survives broken connections and restarts. */
  followJob(id: string, options?: FollowJobOptions): AsyncGenerator<Job, void, undefined>;
  /**
   * Who enters and leaves the segments of a feed, batch by batch, for as long as you iterate. Survives restarts of the service and
   * failures of the network. Store the `cursor` of a batch once you have processed it, and pass it as `after` the next time.
   */
  follow(feed: FeedId, options?: FollowOptions): AsyncGenerator<ChangeBatch, void, undefined>;
  /** Who is in the segments of a feed at one moment, part by part. The last part has the cursor for `follow`. */
  snapshot(feed: FeedId, options?: ReadOptions): AsyncGenerator<SnapshotPart, void, undefined>;
  /** Holds the segments of a feed in memory and answers without the network. Resolves once the first snapshot is read. */
  replica(feed: FeedId, options?: ReplicaOptions): Promise<Replica>;
}

interface Page {
  readonly next_cursor?: string | null;
}

/** A list, with the iterators over its pages. */
function pagedOf(call: Call, shape: CallShape, entries: string) {
  const one = (input: CallInput = {}) => call(shape, input);
  async function* pages(input: CallInput = {}) {
    for (let cursor = input.query?.cursor; ; ) {
      const page = (await one({ ...input, query: { ...input.query, cursor } })) as Page;
      yield page;
      if (typeof page.next_cursor !== 'string') return;
      cursor = page.next_cursor;
    }
  }
  async function* all(input: CallInput = {}) {
    for await (const page of pages(input)) yield* (page as Readonly<Record<string, Iterable<unknown>>>)[entries] ?? [];
  }
  return Object.assign(one, { pages, all });
}

function groupsOf(call: Call): Api {
  const methodOf = (shape: CallShape) =>
    shape.entries === undefined ? (input?: CallInput) => call(shape, input) : pagedOf(call, shape, shape.entries);
  const groups = Object.entries(calls).map(([tag, group]) => [
    tag,
    Object.fromEntries(Object.entries(group).map(([id, shape]) => [id, methodOf(shape)])),
  ]);
  // The table and the types are generated from the same contract.
  return Object.fromEntries(groups) as unknown as Api;
}

export function createClient({ cache, ...options }: ClientOptions): Client {
  const call = createCall(options);
  const callOnce = createCall({ ...options, retries: 0 });
  const api = groupsOf(call);
  const connection = { callOnce, random: options.random ?? Math.random };
  const reads = createReads(call);
  const readAll = cache && cached(reads.read, cache, () => performance.now());

  return {
    ...api,
    async segmentsOf(user, { signal } = {}) {
      return [...(await unlessAborted((readAll ?? reads.read)(user), signal))];
    },
    async isIn(user, slug, { signal } = {}) {
      return (await unlessAborted(readAll ? readAll(user) : reads.read(user, slug), signal)).includes(slug);
    },
    async resolve(users, segments, { signal } = {}) {
      const results: Resolved[] = [];
      for (let from = 0; from < users.length; from += maxUsers) {
        const body = { users: users.slice(from, from + maxUsers), segments };
        results.push(...(await api.memberships.resolve({ body, signal })).results);
      }
      return results;
    },
    followJob: (id, followOptions) => followJob(callOnce, options.url, id, followOptions),
    follow: (feed, followOptions = {}) => follow(connection, feed, followOptions),
    snapshot: (feed, { signal } = {}) => snapshotOf(call, feed, signal),
    replica: (feed, replicaOptions) => openReplica(connection, feed, replicaOptions),
  };
}
