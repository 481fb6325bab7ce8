import { setTimeout as sleep } from 'node:timers/promises';
import { Problem } from '@kohort/contract';
import { AtMost } from '../../concurrency/at-most.ts';
import { deleteEnded, type JobRow, markCancelled, selectJob } from '../../jobs/queue.ts';
import type { Database, Db } from '../../postgres/database.ts';

export interface Jobs {
  read(id: number): Promise<JobRow>;
  cancel(id: number): Promise<JobRow>;
  /** The job now, then once for each change, until it ends or the reader has left; undefined is a mere sign of life. */
  follow(
    id: number,
    by: { readonly caller: string; readonly left: AbortSignal },
  ): AsyncGenerator<JobRow | undefined, void, undefined>;
  /** Lets go of all who follow: the service stops. */
  close(): void;
}

const lookEveryMs = 300;
/** After so many looks without a change, a comment keeps proxies from closing the connection. */
const quietLooks = 50;
const maxFollowers = 200;
/** An import of many users has kept a row for each. */
const sweepTimeoutMs = 900_000;

export function unknownJob(): Problem {
  return new Problem('job_unknown', 'There is no such job.');
}

export function createJobs(db: Db, { lookEvery = lookEveryMs } = {}): Jobs {
  const places = new AtMost({
    atOnce: maxFollowers,
    factor: 3,
    refusal: 'Too many jobs are being followed. Ask for the job itself.',
    retryAfterSeconds: 5,
  });
  let isClosing = false;

  async function read(id: number): Promise<JobRow> {
    const job = await selectJob(db, id);
    if (!job) throw unknownJob();
    return job;
  }

  return {
    read,

    async cancel(id) {
      const cancelled = await markCancelled(db, id);
      if (cancelled) return cancelled;
      const job = await read(id);
      if (job.state === 'cancelled') return job;
      throw new Problem('job_finished', `The job is ${job.state} by now.`);
    },

    async *follow(id, { caller, left }) {
      if (left.aborted) return;
      // A generator that is not asked again never comes to its end, so the place does not wait for that.
      const leave = places.enter(caller);
      left.addEventListener('abort', leave, { once: true });
      try {
        let told = '';
        for (let quiet = 0; ; quiet++) {
          const job = await read(id);
          if (left.aborted) return;
          const text = JSON.stringify(job);
          if (text !== told) {
            yield job;
            [told, quiet] = [text, 0];
          } else if (quiet % quietLooks === quietLooks - 1) {
            yield undefined;
          }
          if (job.finished_at || isClosing) return;
          await sleep(lookEvery, undefined, { signal: left }).catch(() => undefined);
          if (left.aborted) return;
        }
      } finally {
        leave();
      }
    },

    close() {
      isClosing = true;
    },
  };
}

/** Deletes jobs that ended more than so many days ago. */
export async function sweepJobs(db: Database, days: number): Promise<void> {
  while (await db.transaction((tx) => deleteEnded(tx, days), { statementTimeout: sweepTimeoutMs }));
}
