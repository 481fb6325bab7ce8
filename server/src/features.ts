import type { Registry } from 'prom-client';
import { jobKinds, schedules } from './background-jobs.ts';
import type { Config } from './config.ts';
import { eraseAccount } from './features/accounts/accounts.ts';
import { attributesContext } from './features/attributes/attributes.ts';
import { authContext } from './features/auth/auth.ts';
import { exportContext } from './features/exports/exports.ts';
import { type FeedsContext, feedsContext } from './features/feeds/feeds.ts';
import { Followers } from './features/feeds/followers.ts';
import { measureFeeds } from './features/feeds/metrics.ts';
import { refuseErasureOfFenced } from './features/fences/fences.ts';
import { createIdempotency } from './features/idempotency/idempotency.ts';
import { importsContext } from './features/imports/imports.ts';
import { followingContext } from './features/jobs/jobs.ts';
import type { CoalescedReads } from './features/memberships/memberships.routes.ts';
import type { ConsistentReader, ReadContext } from './features/memberships/memberships.ts';
import { coalesceStateOfUser } from './features/memberships/read/explain.ts';
import { largeAnswerPlaces } from './features/memberships/read/large-answers.ts';
import { coalescePairOf } from './features/memberships/read/pair.ts';
import { coalesceResolve } from './features/memberships/read/resolve.ts';
import {
  coalesceSegmentsOfUser,
  type SegmentsContext,
  segmentsContext,
} from './features/memberships/read/segments-of-user.ts';
import { createLedger, removeOverridesOfErased } from './features/memberships/write/ledger.ts';
import { createStreamLinks } from './features/ofrep/links.ts';
import { FlagStreams } from './features/ofrep/streams.ts';
import { recordErasure } from './features/outbox/outbox.ts';
import type { Questions } from './features/questions/questions.ts';
import { reportContext } from './features/reports/reports.ts';
import { createDefinitionCache, forgetDefinitions } from './features/segments/definitions.ts';
import type { OnErase } from './features/users/users.ts';
import {
  measureWebhooks,
  type SenderLimits,
  WebhookSender,
  type WebhooksContext,
  webhookSettings,
} from './features/webhooks/webhooks.ts';
import { Worker } from './jobs/worker.ts';
import { type Cursors, createCursors } from './paging/cursors.ts';
import type { Database } from './postgres/database.ts';
import { measureDatabase, type Watch } from './postgres/metrics.ts';
import type { Replica } from './postgres/replica.ts';

export interface FeatureSettings {
  readonly config: Config & { readonly jwtSecret: string };
  readonly db: Database;
  readonly replica: AttachedReplica | undefined;
  readonly metrics: Registry;
  /** Connects to PostgreSQL directly, bypassing any pooler. Known once the service is connected. */
  readonly directUrl: () => string;
  readonly onError: (error: unknown, what: string) => void;
  /** Limits of webhooks. */
  readonly sender?: SenderLimits;
}

/** A replica, and the way to it. */
export interface AttachedReplica {
  readonly db: Database;
  readonly replica: Replica;
}

/** The dependencies of each feature, created once. */
export type Features = ReturnType<typeof composeFeatures>;

export function composeFeatures({ config, db, replica, metrics, directUrl, onError, sender }: FeatureSettings) {
  const definitions = createDefinitionCache(db);
  const reading = { db, definitions, cursors: createCursors(config.jwtSecret) };
  db.onFailover(() => forgetDefinitions(definitions));
  const elsewhere = replica && { replica: replica.replica, reading: readingOn(replica.db) };
  const { reads, ledger } = membershipsOf(reading, elsewhere, metrics);
  const readSet = readerOf<ReadContext>(reading, elsewhere?.reading, elsewhere?.replica);
  const questions: Questions = { db, answers: new Map(), onQueued: () => worker.wake() };
  const worker: Worker = new Worker({
    db,
    onError,
    kinds: jobKinds({
      db,
      definitions,
      questions,
      jobRetention: config.jobRetention,
      feedRetention: config.feedRetention,
      directUrl,
      onError,
    }),
    schedules,
  });
  const onQueued = () => worker.wake();
  const feeds = feedsContext(db, reading.cursors, definitions, onError);
  const followers = new Followers({ context: feeds, onError });
  measureFeeds(feeds.deriver, followers, metrics);
  return {
    db,
    reading,
    readSet,
    reads,
    ledger,
    questions,
    worker,
    onErase,
    onQueued,
    auth: authContext({ ...config, db }),
    idempotency: createIdempotency(db, config.jwtSecret),
    attributes: attributesContext(db),
    streams: new FlagStreams({ db, stateOf: reads.stateOf, onError }),
    streamLinks: createStreamLinks(config.jwtSecret),
    reports: reportContext({ db, readSet, secret: config.jwtSecret }),
    exports: exportContext(readSet),
    feeds,
    followers,
    ...webhooksOf({ config, db, metrics, onError, sender }, reading.cursors, feeds),
    following: followingContext(db),
    imports: importsContext({ db, definitions, owner: worker.owner, onQueued }),
  };
}

/** A replica may be behind, so it has its own definitions. */
function readingOn(db: Database): ReadContext {
  const definitions = createDefinitionCache(db);
  db.onFailover(() => forgetDefinitions(definitions));
  return { db, definitions };
}

/** Sends a read to the replica if that may answer it, and to the primary otherwise. */
function readerOf<Context>(
  primary: Context,
  other: Context | undefined,
  replica: Replica | undefined,
): ConsistentReader<Context> {
  if (!replica || !other) return (_, read) => read(primary);
  return (consistency, read) =>
    replica.read(
      consistency,
      () => read(other),
      () => read(primary),
    );
}

type WebhookParts = Omit<FeatureSettings, 'directUrl' | 'replica' | 'sender'> & {
  readonly sender: SenderLimits | undefined;
};

function webhooksOf(
  { config, db, metrics, onError, sender: limits = {} }: WebhookParts,
  cursors: Cursors,
  feeds: FeedsContext,
): { webhooks: WebhooksContext; sender: WebhookSender } {
  const settings = webhookSettings(config);
  const onAttempt = measureWebhooks(db, metrics);
  const sender = new WebhookSender({ ...settings, db, feeds, onError, onAttempt, ...limits });
  return { sender, webhooks: { ...settings, db, cursors, feeds, wake: () => sender.wake() } };
}

/** Reads and writes of memberships share statements, whose sizes and waits are measured. */
function membershipsOf(
  reading: ReadContext,
  elsewhere: { readonly replica: Replica; readonly reading: ReadContext } | undefined,
  metrics: Registry,
) {
  const { db, definitions } = reading;
  const { watch, follow } = measureDatabase(db, metrics);
  const fastReads = segmentsContext(reading);
  const onPrimary = {
    segmentsOf: coalesceSegmentsOfUser((read) => read(fastReads), watch('segments')),
    resolve: coalesceResolve((read) => read(fastReads), watch('resolve')),
    stateOf: coalesceStateOfUser((read) => read(reading), watch('memberships')),
  };
  const reads = {
    ...onPrimary,
    eventual: elsewhere ? eventualReads(reading, fastReads, elsewhere, watch) : onPrimary,
    pairOf: coalescePairOf(reading, watch('flag')),
    past: { db, kept: new Map() },
    largeAnswers: largeAnswerPlaces(),
  };
  const ledger = createLedger(db, definitions, watch('overrides'));
  follow('segments', reads.segmentsOf);
  follow('resolve', reads.resolve);
  follow('memberships', reads.stateOf);
  follow('flag', reads.pairOf);
  follow('overrides', ledger.applyOne);
  return { reads, ledger };
}

function eventualReads(
  reading: ReadContext,
  fastReads: SegmentsContext,
  { replica, reading: other }: { readonly replica: Replica; readonly reading: ReadContext },
  watch: Watch,
): CoalescedReads {
  const fast = readerOf(fastReads, segmentsContext(other), replica);
  const plain = readerOf(reading, other, replica);
  return {
    segmentsOf: coalesceSegmentsOfUser((read) => fast('eventual', read), watch('segments')),
    resolve: coalesceResolve((read) => fast('eventual', read), watch('resolve')),
    stateOf: coalesceStateOfUser((read) => plain('eventual', read), watch('memberships')),
  };
}

/** The steps of every feature to erase a user. */
const onErase: OnErase = async (tx, userId, { actor, isAdmin }) => {
  await refuseErasureOfFenced(tx, userId);
  await removeOverridesOfErased(tx, userId, actor);
  await eraseAccount(tx, userId, isAdmin);
  await recordErasure(tx, userId, actor);
};
