import { setTimeout as sleep } from 'node:timers/promises';
import { Problem } from '@kohort/contract';
import type { Db } from '../../postgres/database.ts';
import { type JobRow, markCancelled, selectJob } from './jobs.sql.ts';

export type { JobCounts, JobError, JobKind, JobRow } from './jobs.sql.ts';

export interface Jobs {
  read(id: number): Promise<JobRow>;
  cancel(id: number): Promise<JobRow>;
  /** The job now, then once for each change, until it ends or the reader leaves. */
  follow(id: number): AsyncGenerator<JobRow | undefined, void, undefined>;
  /** Lets go of all who follow: the service stops. */
  close(): void;
}

const LOOK_EVERY = 300;
/** A sign of life for what stands between, in looks. */
const QUIET_LOOKS = 50;
const MAX_FOLLOWERS = 200;

export function unknownJob(): Problem {
  return new Problem('job_unknown', 'There is no such job.');
}

export function createJobs(db: Db): Jobs {
  let followers = 0;
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

    async *follow(id) {
      if (followers >= MAX_FOLLOWERS) {
        throw new Problem('overloaded', 'Too many jobs are being followed. Ask for the job itself.', { retryAfter: 5 });
      }
      followers++;
      try {
        let told = '';
        for (let quiet = 0; ; quiet++) {
          const job = await read(id);
          const text = JSON.stringify(job);
          if (text !== told) {
            yield job;
            [told, quiet] = [text, 0];
          } else if (quiet % QUIET_LOOKS === QUIET_LOOKS - 1) {
            yield undefined;
          }
          if (job.finished_at || isClosing) return;
          await sleep(LOOK_EVERY);
        }
      } finally {
        followers--;
      }
    },

    close() {
      isClosing = true;
    },
  };
}
