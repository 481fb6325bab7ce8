import { randomUUID } from 'node:crypto';
import type { Database, Db, Tx } from '../../postgres/database.ts';
import { sqlState } from '../../postgres/errors.ts';
import { StaleRead } from '../../postgres/stale-read.ts';
import { deleteFencesOfEndedJobs } from '../fences/fences.ts';
import {
  beat,
  claim,
  deleteBroken,
  fail,
  finish,
  type JobCounts,
  type JobError,
  type JobKind,
  type JobRow,
  release,
  selectWaiting,
} from '../jobs/jobs.ts';
import { dropTables, selectLeftovers } from './staging.sql.ts';

/** The job cannot be done, for reasons that its owner can mend. Nothing of it happens. */
export class JobFailed extends Error {
  readonly errors: readonly JobError[];

  constructor(errors: readonly JobError[]) {
    super(errors[0]?.message);
    this.errors = errors;
  }
}

/** The job was cancelled or taken over: it is no longer ours. */
class Lost extends Error {}

class Stopping extends Error {}

export interface Steps {
  /** Tells those who watch, and throws when the job is not to go on. */
  progress(processed: number): Promise<void>;
  /** Ends the job, in the transaction that makes its changes. */
  finish(tx: Tx, counts: JobCounts): Promise<void>;
}

/** What a kind of job does. */
export interface Work {
  /** Works out what is to be done; changes nothing that anybody sees. */
  prepare(job: JobRow): Promise<void>;
  /** What {@link apply} would do. */
  preview(job: JobRow): Promise<JobCounts>;
  /** All of it in one transaction. */
  apply(job: JobRow, steps: Steps): Promise<void>;
}

export interface Runner {
  readonly owner: string;
  /** Does the job if its turn has come and there is room; otherwise it is offered again. */
  run(id: number): Promise<void>;
  /** Begins to look after jobs whose process has died. */
  watch(): void;
  /** Gives back what is under way. */
  stop(): Promise<void>;
}

const BEAT_EVERY = 1_000;
const WATCH_EVERY = 2_000;
const MAX_AT_ONCE = 2;
const MAX_RESTARTS = 5;
const MAX_ATTEMPTS = 5;
const UNIQUE_VIOLATION = '23505';

export function createRunner({
  db,
  works,
  offer,
  onError,
}: {
  db: Database;
  works: Readonly<Record<JobKind, Work>>;
  /** Has some process run the job. */
  offer: (db: Db, job: number) => Promise<void>;
  onError: (error: unknown, what: string) => void;
}): Runner {
  const owner = randomUUID();
  const running = new Map<number, Promise<void>>();
  let stopping = false;
  let timer: NodeJS.Timeout | undefined;

  async function attempt(job: JobRow, work: Work, steps: Steps): Promise<void> {
    for (let restart = 1; ; restart++) {
      try {
        await work.prepare(job);
        await steps.progress(0);
        if ((job.options as { dry_run?: boolean }).dry_run) {
          const counts = await work.preview(job);
          await db.transaction((tx) => steps.finish(tx, counts));
        } else {
          await work.apply(job, steps);
        }
        return;
      } catch (error) {
        const isStale = error instanceof StaleRead || sqlState(error) === UNIQUE_VIOLATION;
        if (!isStale || restart === MAX_RESTARTS) throw error;
      }
    }
  }

  async function perform(job: JobRow): Promise<void> {
    const state = { processed: 0, isLost: false };
    const tell = async () => {
      if (!(await beat(db, job.id, owner, { rows: job.rows, processed: state.processed }))) state.isLost = true;
    };
    const heart = setInterval(
      () => tell().catch((error) => onError(error, 'a job cannot tell that it lives')),
      BEAT_EVERY,
    );
    const steps: Steps = {
      async progress(processed) {
        state.processed = processed;
        if (state.isLost) throw new Lost();
        if (stopping) throw new Stopping();
      },
      async finish(tx, counts) {
        if (!(await finish(tx, job.id, owner, counts))) throw new Lost();
      },
    };
    try {
      await attempt(job, works[job.kind], steps);
      await dropTables(db, job.id);
    } catch (error) {
      if (error instanceof JobFailed) {
        await fail(db, job.id, owner, error.errors);
        await dropTables(db, job.id);
      } else if (error instanceof Lost) {
        // Whoever cancelled it, or took it over, has said all there is to say.
      } else if (error instanceof Stopping) {
        await release(db, job.id, owner);
      } else {
        onError(error, `job ${job.id} failed`);
        if (job.attempts >= MAX_ATTEMPTS) {
          await fail(db, job.id, owner, [{ line: null, message: 'a fault of ours; our log has more' }]);
          await dropTables(db, job.id);
        }
        // Otherwise it is taken up again when its last sign of life is old enough.
      }
    } finally {
      clearInterval(heart);
    }
    // Others may have waited for this one.
    for (const id of await selectWaiting(db)) await offer(db, id);
  }

  async function look(): Promise<void> {
    const waiting = await selectWaiting(db);
    for (const id of waiting) if (!running.has(id)) await offer(db, id);
    await deleteBroken(db);
    await deleteFencesOfEndedJobs(db);
    for (const id of await selectLeftovers(db)) if (!running.has(id)) await dropTables(db, id);
  }

  return {
    owner,

    async run(id) {
      if (stopping || running.has(id) || running.size >= MAX_AT_ONCE) return;
      const work = (async () => {
        const job = await claim(db, id, owner);
        if (job) await perform(job);
      })().finally(() => running.delete(id));
      running.set(id, work);
      await work;
    },

    watch() {
      const again = async () => {
        await look().catch((error) => onError(error, 'jobs cannot be looked after'));
        if (!stopping) timer = setTimeout(again, WATCH_EVERY);
      };
      timer = setTimeout(again, 0);
    },

    async stop() {
      stopping = true;
      clearTimeout(timer);
      await Promise.allSettled(running.values());
    },
  };
}
