import { Socket } from 'node:net';
import { Logger, parseCronItems, run, runMigrations } from 'graphile-worker';
import pg from 'pg';
import sql from 'sql-template-tag';
import type { Db } from '../postgres/database.ts';

/** What a job does with its payload. Throwing has it tried again later, with growing pauses. */
export type Task = (payload: unknown) => Promise<void>;

export interface Schedule {
  readonly task: string;
  /** Crontab, UTC. */
  readonly cron: string;
}

export interface WorkerOptions {
  readonly url: string;
  readonly tasks: Readonly<Record<string, Task>>;
  readonly schedules: readonly Schedule[];
  readonly onError: (error: unknown, what: string) => void;
}

/** Brings the queue's own tables up. The caller sees to it that no two do so at once. */
export async function migrateQueue(url: string): Promise<void> {
  await runMigrations({ connectionString: url, logger: silent });
}

// The queue's own account of every job is noise; what goes wrong is told by its events.
const silent = new Logger(() => () => undefined);

/**
 * Queues a job in the caller's transaction: it exists if, and only if, that commits. Of those with the same key that wait,
 * there is only one.
 */
export async function enqueue(db: Db, task: string, payload: object, key?: string): Promise<void> {
  await db.query(sql`
    SELECT graphile_worker.add_job(${task}, ${JSON.stringify(payload)}::json, job_key := ${key ?? null}::text)`);
}

export interface Worker {
  stop(): Promise<void>;
  /** Ends its connections, which nobody answers: it would wait on them for ever, and so gets new ones as soon as it can. */
  cut(): void;
}

export async function startWorker({ url, tasks, schedules, onError }: WorkerOptions): Promise<Worker> {
  const sockets = new Set<Socket>();
  const pool = new pg.Pool({
    connectionString: url,
    application_name: 'kohort-jobs',
    max: 3,
    connectionTimeoutMillis: 2_000,
    query_timeout: 30_000,
    maxLifetimeSeconds: 600,
    keepAlive: true,
    stream: () => {
      const socket = new Socket();
      sockets.add(socket);
      socket.once('close', () => sockets.delete(socket));
      return socket;
    },
  });
  pool.on('connect', (client) => client.on('error', () => undefined));
  pool.on('error', (error) => onError(error, 'the queue lost an idle connection'));
  const runner = await run({
    pgPool: pool,
    concurrency: 4,
    pollInterval: 2_000,
    noHandleSignals: true,
    logger: silent,
    taskList: Object.fromEntries(
      Object.entries(tasks).map(([name, task]) => [name, (payload: unknown) => task(payload)]),
    ),
    parsedCronItems: parseCronItems(
      schedules.map(({ task, cron }) => ({ task, match: cron, options: { backfillPeriod: 0 } })),
    ),
  });
  runner.events.on('job:error', ({ job, error }) => onError(error, `job ${job.task_identifier} failed`));
  runner.events.on('pool:listen:error', ({ error }) => onError(error, 'the queue lost its connection'));
  runner.promise.catch((error) => onError(error, 'the queue stopped'));
  return {
    async stop() {
      try {
        await runner.stop();
      } finally {
        await pool.end();
      }
    },
    cut() {
      for (const socket of sockets) socket.destroy();
    },
  };
}
