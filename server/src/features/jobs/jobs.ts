import { setTimeout as sleep } from 'node:timers/promises';
import { Problem } from '@kohort/contract';
import { AtMost } from '../../concurrency/at-most.ts';
import {
  deleteEnded,
  type JobEntry,
  type JobsQuery,
  markCancelled,
  type ShownJob,
  selectJob,
  selectJobs,
} from '../../jobs/queue.ts';
import { type Cursors, pageOf } from '../../paging/cursors.ts';
import type { Database, Db } from '../../postgres/database.ts';

/** The dependencies of following jobs, one per process. */
export interface Following {
  readonly db: Db;
  readonly places: AtMost;
  readonly pollEveryMs: number;
  /** Aborted when the service stops. */
  readonly closing: AbortController;
}

const defaultPollEveryMs = 300;
/** After this many polls without a change, a comment keeps proxies from closing the connection. */
const quietPolls = 50;
const maxFollowers = 200;
/** Long, since an import of many users has stored a row for each. */
const sweepTimeoutMs = 900_000;

export function unknownJob(): Problem {
  return new Problem('job_unknown', 'There is no such job.');
}

export interface JobsPage extends Pick<JobsQuery, 'state' | 'kind' | 'segment' | 'key'> {
  readonly limit?: number;
  readonly cursor?: string;
}

/** Newest first. */
export async function listJobs(
  { db, cursors }: { readonly db: Db; readonly cursors: Cursors },
  { limit = 100, cursor, ...filters }: JobsPage,
): Promise<{ jobs: JobEntry[]; next_cursor: string | null }> {
  const [before] = cursor === undefined ? [Number.MAX_SAFE_INTEGER] : cursors.decode('jobs', cursor);
  const found = await selectJobs(db, { ...filters, before: Number(before), limit: limit + 1 });
  const { rows, next_cursor } = pageOf(found, limit, ({ id }) => cursors.encode('jobs', [id]));
  return { jobs: rows, next_cursor };
}

export async function readJob(db: Db, id: number): Promise<ShownJob> {
  const job = await selectJob(db, id);
  if (!job) throw unknownJob();
  return job;
}

export async function cancelJob(db: Db, id: number): Promise<ShownJob> {
  await markCancelled(db, id);
  const job = await readJob(db, id);
  if (job.state === 'cancelled') return job;
  throw new Problem('job_finished', `The job is already ${job.state}.`);
}

export function followingContext(db: Db, { pollEveryMs = defaultPollEveryMs } = {}): Following {
  const places = new AtMost({
    atOnce: maxFollowers,
    factor: 3,
    refusal: 'Too many jobs are being followed. Poll the job instead.',
    retryAfterSeconds: 5,
  });
  return { db, places, pollEveryMs, closing: new AbortController() };
}

/** Yields the job now, then after each change, until it ends or the reader disconnects. Undefined is a keep-alive. */
export async function* followJob(
  { db, places, pollEveryMs, closing }: Following,
  id: number,
  { caller, left }: { readonly caller: string; readonly left: AbortSignal },
): AsyncGenerator<ShownJob | undefined, void, undefined> {
  if (left.aborted) return;
  // A generator that is not resumed never reaches its end, so the place is released when the reader disconnects.
  const leave = places.enter(caller);
  left.addEventListener('abort', leave, { once: true });
  try {
    let sent = '';
    for (let quiet = 0; ; quiet++) {
      const job = await readJob(db, id);
      if (left.aborted) return;
      // With its result a job has ended, so that it is there is all that matters.
      const text = JSON.stringify({ ...job, result: job.result !== null });
      if (text !== sent) {
        yield job;
        [sent, quiet] = [text, 0];
      } else if (quiet % quietPolls === quietPolls - 1) {
        yield undefined;
      }
      if (job.finished_at || closing.signal.aborted) return;
      await sleep(pollEveryMs, undefined, { signal: left }).catch(() => undefined);
      if (left.aborted) return;
    }
  } finally {
    leave();
  }
}

/** Ends every stream of {@link followJob} after its next poll. */
export function endFollowing({ closing }: Following): void {
  closing.abort();
}

/** Deletes jobs that ended more than `days` ago. */
export async function sweepJobs(db: Database, days: number): Promise<void> {
  while (await db.transaction((tx) => deleteEnded(tx, days), { statementTimeout: sweepTimeoutMs }));
}
