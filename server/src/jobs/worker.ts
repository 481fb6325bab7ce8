import { randomUUID } from 'node:crypto';
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

/** What a running job is given by the worker. */
export interface JobContext {
  /** Aborted when the job was cancelled or taken over, or when the process stops. */
  readonly signal: AbortSignal;
  /** For those who watch; throws when the job must not go on. */
  progress(processed: number): void;
  /** Ends the job, in the transaction that makes its changes. */
  finish(tx: Tx, counts: JobCounts, warnings?: readonly JobError[]): Promise<void>;
}

export interface JobKind {
  /** How many jobs of this kind one process runs at the same time. */
  readonly atOnce: number;
  /**
   * Does the whole job. A job that callers see must call `finish`. Throws JobFailed for what its caller can change; any other
   * error has the job tried again later. May be run again from the start at any time, after a crash too.
   */
  run(job: JobRow, context: JobContext): Promise<void>;
  /** Cleans up after a job that is done or has failed. Not called when the process dies first. */
  ended?(job: JobRow): Promise<void>;
}

export interface WorkerOptions {
  readonly db: Database;
  readonly kinds: Readonly<Record<string, JobKind>>;
  readonly schedules?: readonly Schedule[];
  readonly onError: (error: unknown, what: string) => void;
  readonly pollMs?: number;
  readonly heartbeatMs?: number;
  /** A job whose process was not heard of for so long is taken by another: some missed heartbeats. */
  readonly leaseMs?: number;
  /** Pause after the first failure; each one after it is twice as long. */
  readonly backoffMs?: number;
}

interface Running {
  readonly job: JobRow;
  readonly controller: AbortController;
  processed: number;
}

/** Attempts at a job that callers see. Those of ours have to be done some time, however often they fail. */
const maxAttempts = 10;
const maxBackoffMs = 300_000;
const uniqueViolation = '23505';

const givenUp = { line: null, message: 'internal error; the log of the service has more' };

/**
 * Runs the jobs of the queue: asks for the next one as soon as there is room, and every `pollMs`. It needs nothing of a
 * connection but single statements and transactions, so a pooler in transaction mode may stand between.
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
  #isWoken = false;
  #endPause = () => {};

  constructor(options: WorkerOptions) {
    this.#options = { schedules: [], pollMs: 1_000, heartbeatMs: 1_000, leaseMs: 5_000, backoffMs: 1_000, ...options };
  }

  start(): void {
    if (this.#polling) return;
    this.#polling = this.#poll();
    this.#heartbeats = setInterval(() => this.#heartbeat(), this.#options.heartbeatMs);
  }

  /** Looks for a job at once: one was queued by this process. Others find it when they poll. */
  wake(): void {
    this.#isWoken = true;
    this.#endPause();
  }

  /** Gives back the jobs under way as soon as they notice. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    this.wake();
    for (const { controller } of this.#running.values()) controller.abort(new Error('the service is stopping'));
    await this.#polling;
    await Promise.all(this.#work);
    clearInterval(this.#heartbeats);
  }

  async #poll(): Promise<void> {
    const { db, schedules, onError, pollMs } = this.#options;
    let hasSchedules = false;
    let isFailing = false;
    while (!this.#isStopping) {
      this.#isWoken = false;
      try {
        if (!hasSchedules) await insertSchedules(db, schedules);
        hasSchedules = true;
        await enqueueDue(db, schedules);
        while (!this.#isStopping && (await this.#takeOne()));
        isFailing = false;
      } catch (error) {
        // Once, not for each poll: a database that is away is reported by the database itself.
        if (!isFailing) onError(error, 'polling for jobs failed');
        isFailing = true;
      }
      if (!this.#isWoken) await this.#pause(pollMs);
    }
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#endPause = () => {
        clearTimeout(timer);
        resolve();
      };
    });
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
    const job = await claimNext(db, { owner: this.owner, kinds, leaseMs }).catch((error) => {
      // Another process began a job of the same lane at the same moment.
      if (sqlState(error) === uniqueViolation) return undefined;
      throw error;
    });
    if (!job) return false;
    const running: Running = { job, controller: new AbortController(), processed: 0 };
    this.#running.set(job.id, running);
    const work = this.#perform(running).finally(() => {
      this.#running.delete(job.id);
      this.#work.delete(work);
      // There is room again, and others of its lane may have waited for it.
      this.wake();
    });
    this.#work.add(work);
    return true;
  }

  async #heartbeat(): Promise<void> {
    const running = [...this.#running.values()];
    if (running.length === 0 || this.#isBeating) return;
    this.#isBeating = true;
    const jobs = running.map(({ job, processed }) => ({ id: job.id, rows: job.rows, processed }));
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
      progress: (processed) => {
        running.processed = processed;
        controller.signal.throwIfAborted();
      },
      finish: async (tx, counts, warnings = []) => {
        if (await finish(tx, job.id, this.owner, { counts, warnings })) return;
        controller.abort(new Error('the job was cancelled or taken over'));
        controller.signal.throwIfAborted();
      },
    };
    try {
      // Each of its attempts ended with the process: it may be the cause.
      if (!job.internal && job.attempts > maxAttempts) throw new JobFailed([givenUp]);
      await kinds[job.kind]?.run(job, context);
      if (job.internal) await deleteDone(db, job.id, this.owner);
      await kinds[job.kind]?.ended?.(job);
    } catch (error) {
      // If this fails too, the lease runs out.
      await this.#settle(running, error).catch((failure) => onError(failure, `job ${job.id} could not be released`));
    }
  }

  async #settle({ job, controller }: Running, error: unknown): Promise<void> {
    const { db, kinds, onError, backoffMs } = this.#options;
    if (controller.signal.aborted) {
      // Does nothing to a job that is not ours any more.
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
