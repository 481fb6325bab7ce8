import { randomUUID } from 'node:crypto';
import { Pause } from '../concurrency/pause.ts';
import type { Database, Tx } from '../postgres/database.ts';
import { sqlState } from '../postgres/errors.ts';
import { type JobCounts, type JobError, JobFailed, type JobRow } from './job.ts';
import { fail, finish } from './jobs.sql.ts';
import {
  claimNext,
  deleteDone,
  enqueueDue,
  heartbeat,
  insertSchedules,
  release,
  retryLater,
  type Schedule,
} from './queue.sql.ts';

/** What the worker passes to a running job. */
export interface JobContext {
  /** Aborted when the job was cancelled or taken over, or when the process stops. */
  readonly signal: AbortSignal;
  /** Reports progress, and the rows there are in all where the job did not know them at first. Throws if it must stop. */
  progress(processed: number, rows?: number): void;
  /** Ends the job, in the transaction that makes its changes. */
  finish(tx: Tx, counts: JobCounts, warnings?: readonly JobError[]): Promise<void>;
}

export interface JobKind {
  /** How many jobs of this kind one process runs at the same time. */
  readonly atOnce: number;
  /**
   * Runs the whole job. A job that callers see must call `finish`. Throws JobFailed for errors that its caller can fix; after any
   * other error the job is retried later. May run again from the start at any time, even after a crash.
   */
  run(job: JobRow, context: JobContext): Promise<void>;
  /** Cleans up after a job that is done or has failed. Not called if the process dies first. */
  ended?(job: JobRow): Promise<void>;
}

export interface WorkerOptions {
  readonly db: Database;
  readonly kinds: Readonly<Record<string, JobKind>>;
  readonly schedules?: readonly Schedule[];
  readonly onError: (error: unknown, what: string) => void;
  readonly pollMs?: number;
  readonly heartbeatMs?: number;
  /** After this time without a heartbeat another process takes the job over. */
  readonly leaseMs?: number;
  /** The pause after the first failure; each later one is twice as long. */
  readonly backoffMs?: number;
}

interface Running {
  readonly job: JobRow;
  readonly controller: AbortController;
  processed: number;
  rows: number;
}

/** The most attempts at a job that callers see. Internal jobs are retried for ever, since they must be done eventually. */
const maxAttempts = 10;
const maxBackoffMs = 300_000;
const uniqueViolation = '23505';
const stopping = 'the service is stopping';

const givenUp = { line: null, message: 'internal error; the log of the service has more' };

/**
 * Runs the jobs of the queue: polls for the next one as soon as there is room, and every `pollMs`. It uses only single statements
 * and transactions, so it works through a pooler in transaction mode.
 */
export class Worker {
  readonly owner = randomUUID();
  readonly #options: Required<WorkerOptions>;
  readonly #running = new Map<number, Running>();
  readonly #work = new Set<Promise<void>>();
  #polling: Promise<void> | undefined;
  #heartbeats: NodeJS.Timeout | undefined;
  #isBeating = false;
  #isStopping = false;
  readonly #pause = new Pause();

  constructor(options: WorkerOptions) {
    this.#options = { schedules: [], pollMs: 1_000, heartbeatMs: 1_000, leaseMs: 5_000, backoffMs: 1_000, ...options };
  }

  start(): void {
    if (this.#polling) return;
    this.#polling = this.#poll();
    this.#heartbeats = setInterval(() => this.#heartbeat(), this.#options.heartbeatMs);
  }

  /** Polls at once: this process has queued a job. Others find it at their next poll. */
  wake(): void {
    this.#pause.wake();
  }

  /** Releases running jobs as soon as they notice the stop. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    this.wake();
    for (const { controller } of this.#running.values()) controller.abort(new Error(stopping));
    await this.#polling;
    await Promise.all(this.#work);
    clearInterval(this.#heartbeats);
  }

  async #poll(): Promise<void> {
    const { db, schedules, onError, pollMs } = this.#options;
    let hasSchedules = false;
    let isFailing = false;
    while (!this.#isStopping) {
      this.#pause.begin();
      try {
        if (!hasSchedules) await insertSchedules(db, schedules);
        hasSchedules = true;
        await enqueueDue(db, schedules);
        while (!this.#isStopping && (await this.#takeOne()));
        isFailing = false;
      } catch (error) {
        // Logged once, not for each poll: the probe reports an unavailable database.
        if (!isFailing) onError(error, 'polling for jobs failed');
        isFailing = true;
      }
      await this.#pause.take(pollMs);
    }
  }

  #kindsWithRoom(): string[] {
    const running = Map.groupBy(this.#running.values(), ({ job }) => job.kind);
    return Object.entries(this.#options.kinds).flatMap(([kind, { atOnce }]) =>
      (running.get(kind)?.length ?? 0) < atOnce ? [kind] : [],
    );
  }

  async #takeOne(): Promise<boolean> {
    const { db, leaseMs } = this.#options;
    const kinds = this.#kindsWithRoom();
    if (kinds.length === 0) return false;
    // After heartbeats were late, the lease of a job that runs here may have expired.
    const besides = [...this.#running.keys()];
    const job = await claimNext(db, { owner: this.owner, kinds, leaseMs, besides }).catch((error) => {
      // Another process claimed a job of the same lane at the same moment.
      if (sqlState(error) === uniqueViolation) return undefined;
      throw error;
    });
    if (!job) return false;
    const running: Running = { job, controller: new AbortController(), processed: 0, rows: job.rows };
    this.#running.set(job.id, running);
    // Stopped while it was being claimed: `stop` has not seen it.
    if (this.#isStopping) running.controller.abort(new Error(stopping));
    const work = this.#perform(running).finally(() => {
      this.#running.delete(job.id);
      this.#work.delete(work);
      // A place is free, and other jobs of its lane may have waited for it.
      this.wake();
    });
    this.#work.add(work);
    return true;
  }

  async #heartbeat(): Promise<void> {
    const running = [...this.#running.values()];
    if (running.length === 0 || this.#isBeating) return;
    this.#isBeating = true;
    const jobs = running.map(({ job, rows, processed }) => ({ id: job.id, rows, processed }));
    try {
      const ours = await heartbeat(this.#options.db, this.owner, jobs);
      for (const { job, controller } of running) {
        if (!ours.has(job.id)) controller.abort(new Error('the job was cancelled or taken over'));
      }
    } catch (error) {
      this.#options.onError(error, 'job heartbeat failed');
    } finally {
      this.#isBeating = false;
    }
  }

  async #perform(running: Running): Promise<void> {
    const { job, controller } = running;
    const { db, kinds, onError } = this.#options;
    const context: JobContext = {
      signal: controller.signal,
      progress: (processed, rows = running.rows) => {
        running.processed = processed;
        running.rows = rows;
        controller.signal.throwIfAborted();
      },
      finish: async (tx, counts, warnings = []) => {
        if (await finish(tx, job.id, this.owner, { counts, warnings, rows: running.rows })) return;
        controller.abort(new Error('the job was cancelled or taken over'));
        controller.signal.throwIfAborted();
      },
    };
    try {
      // Every attempt ended with the death of the process, which the job may have caused.
      if (!job.internal && job.attempts > maxAttempts) throw new JobFailed([givenUp]);
      await kinds[job.kind]?.run(job, context);
      if (job.internal) await deleteDone(db, job.id, this.owner);
      await kinds[job.kind]?.ended?.(job);
    } catch (error) {
      // If this fails too, the lease expires.
      await this.#settle(running, error).catch((failure) => onError(failure, `job ${job.id} could not be released`));
    }
  }

  async #settle({ job, controller }: Running, error: unknown): Promise<void> {
    const { db, kinds, onError, backoffMs } = this.#options;
    if (controller.signal.aborted) {
      // Has no effect on a job that this process no longer leases.
      await release(db, job.id, this.owner);
      return;
    }
    if (error instanceof JobFailed) {
      await fail(db, job.id, this.owner, error.errors);
      await kinds[job.kind]?.ended?.(job);
      return;
    }
    onError(error, `job ${job.id} (${job.kind}) failed`);
    if (job.internal || job.attempts < maxAttempts) {
      await retryLater(db, job.id, this.owner, Math.min(backoffMs * 2 ** (job.attempts - 1), maxBackoffMs));
      return;
    }
    await fail(db, job.id, this.owner, [givenUp]);
    await kinds[job.kind]?.ended?.(job);
  }
}
