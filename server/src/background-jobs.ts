import { sweepAuth } from './features/auth/auth.ts';
import { sweepChanges } from './features/feeds/retention.ts';
import { sweepIdempotency } from './features/idempotency/idempotency.ts';
import { importKinds } from './features/imports/imports.ts';
import { sweepJobs } from './features/jobs/jobs.ts';
import { sweepExpired } from './features/memberships/write/expiry.ts';
import { purgeSegment } from './features/memberships/write/purge.ts';
import { type Questions, questionKind } from './features/questions/questions.ts';
import type { DefinitionCache } from './features/segments/segments.ts';
import { measureSizes } from './features/sizes/measure.ts';
import { sweepDeliveries } from './features/webhooks/webhooks.ts';
import { enqueue, type Schedule } from './jobs/queue.ts';
import type { JobKind } from './jobs/worker.ts';
import type { Database } from './postgres/database.ts';
import { rebuildBloatedIndexes } from './postgres/rebuild.ts';

export interface BackgroundWork {
  readonly db: Database;
  readonly definitions: DefinitionCache;
  readonly questions: Questions;
  /** Days. */
  readonly jobRetention: number;
  /** Days. */
  readonly feedRetention: number;
  /** For work that needs its own connection. */
  readonly directUrl: () => string;
  readonly onError: (error: unknown, what: string) => void;
}

export const schedules: readonly Schedule[] = [
  { kind: 'measure_sizes', everySeconds: 3_600 },
  { kind: 'sweep_expired', everySeconds: 60 },
  { kind: 'sweep_auth', everySeconds: 600 },
  { kind: 'sweep_idempotency', everySeconds: 600 },
  { kind: 'sweep_jobs', everySeconds: 600 },
  { kind: 'sweep_feeds', everySeconds: 600 },
  { kind: 'sweep_webhooks', everySeconds: 600 },
];

/** All kinds of jobs that a worker of this service runs. */
export function jobKinds(work: BackgroundWork): Readonly<Record<string, JobKind>> {
  const { db, questions, jobRetention, feedRetention } = work;
  return {
    ...importKinds(work),
    purge_segment: { atOnce: 2, run: (job, { signal }) => purge(db, segmentOf(job.options), signal) },
    rebuild_indexes: { atOnce: 1, run: (_, { signal }) => rebuild(work, signal) },
    measure_sizes: { atOnce: 1, run: (_, { signal }) => measureSizes(work, signal) },
    question: questionKind(questions),
    sweep_expired: alone(async () => void (await sweepExpired(db))),
    sweep_auth: alone(() => sweepAuth(db)),
    sweep_idempotency: alone(() => sweepIdempotency(db)),
    sweep_jobs: alone(() => sweepJobs(db, jobRetention)),
    sweep_feeds: alone(() => sweepChanges(db, feedRetention)),
    sweep_webhooks: alone(() => sweepDeliveries(db, feedRetention)),
  };
}

async function purge(db: Database, segment: number, signal: AbortSignal): Promise<void> {
  await purgeSegment(db, segment, signal);
  await enqueue(db, 'rebuild_indexes', {}, 'rebuild_indexes');
}

async function rebuild({ directUrl, onError }: BackgroundWork, signal: AbortSignal): Promise<void> {
  await rebuildBloatedIndexes({ url: directUrl(), table: 'memberships', signal }).catch((error) => {
    // A rebuild only returns space; the next purge retries it.
    if (signal.aborted) throw error;
    onError(error, 'index rebuild failed');
  });
}

function alone(run: () => Promise<void>): JobKind {
  return { atOnce: 1, run };
}

function segmentOf(options: unknown): number {
  const { segment } = options as { segment?: unknown };
  if (typeof segment === 'number') return segment;
  throw new Error('a purge without its segment');
}
