import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { createDatabase, type TestDatabase } from '@kohort/testkit/database.ts';
import { untilPasses } from '@kohort/testkit/eventually.ts';
import sql from 'sql-template-tag';
import { afterAll, afterEach, beforeAll, expect, it, onTestFinished, vi } from 'vitest';
import { patientConnections } from '../../test/config.ts';
import { Database } from '../postgres/database.ts';
import { JobFailed, type JobRow, noCounts } from './job.ts';
import { insertReceiving, markCancelled, markQueued, selectJob } from './jobs.sql.ts';
import { claimNext, enqueue, heartbeat } from './queue.sql.ts';
import { type JobContext, type JobKind, Worker, type WorkerOptions } from './worker.ts';

const counts = { ...noCounts, added: 1 };
const options = { ...patientConnections, maxConnections: 4, statementTimeout: 60_000, onError: () => undefined };

let database: TestDatabase;
const db = new Database(options);
const closing: (() => Promise<void>)[] = [];
beforeAll(async () => {
  database = await createDatabase();
  await db.start(database.url);
});
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close();
  await db.query(sql`TRUNCATE jobs, job_schedules CASCADE`);
});
afterAll(async () => {
  await db.close();
  await database.drop();
});

/** A worker as an instance of its own would have it, with its own connections. */
async function startWorker(given: Pick<WorkerOptions, 'kinds'> & Partial<WorkerOptions>): Promise<Worker> {
  const own = new Database(options);
  await own.start(database.url);
  // No lease runs out on a busy machine, unless a test wants it to.
  const usual = { pollMs: 20, heartbeatMs: 20, leaseMs: 600_000, backoffMs: 5 };
  const worker = new Worker({ db: own, onError: () => undefined, ...usual, ...given });
  closing.push(async () => {
    await worker.stop();
    await own.close();
  });
  worker.start();
  return worker;
}

const kind = (run: JobKind['run'], atOnce = 1): JobKind => ({ run, atOnce });

/** A job as callers see it, which waits. */
async function queued(lane: string = randomUUID()): Promise<number> {
  const job = { kind: 'visible', lane, segmentId: null, options: {}, actor: 'user:1' };
  const id = await insertReceiving(db, randomUUID(), job);
  await markQueued(db, id, { rows: 7, warnings: [] });
  return id;
}

const left = async () => (await db.query<{ kind: string }>(sql`SELECT kind FROM jobs`)).map((job) => job.kind);
const emptied = () => untilPasses(async () => expect(await left()).toEqual([]));
const until = (id: number, state: string) =>
  untilPasses(async () => expect(await selectJob(db, id)).toMatchObject({ state }));

it('eight instances do each job once, and those of a lane one after the other in their order', async () => {
  const done: number[] = [];
  const active = new Map<number, number>();
  const run = async ({ options: what }: JobRow) => {
    const { lane, n } = what as { lane: number; n: number };
    expect(active.get(lane)).toBeUndefined();
    active.set(lane, n);
    // Work of any length, so that the jobs of several lanes overlap.
    await sleep(Math.random() * 4);
    active.delete(lane);
    done.push(lane * 1_000 + n);
  };
  for (let i = 0; i < 8; i++) await startWorker({ kinds: { task: kind(run, 3) } });
  await Promise.all(
    Array.from({ length: 10 }, async (_, lane) => {
      for (let n = 0; n < 20; n++) await enqueue(db, 'task', { lane, n }, `lane ${lane}`);
    }),
  );
  await emptied();
  for (let lane = 0; lane < 10; lane++) {
    expect(done.filter((one) => Math.floor(one / 1_000) === lane)).toEqual(
      Array.from({ length: 20 }, (_, n) => lane * 1_000 + n),
    );
  }
});

it('jobs without a lane do not wait for each other, but one process takes only as many as it may', async () => {
  let [active, most] = [0, 0];
  const full = Promise.withResolvers<void>();
  const run = async () => {
    most = Math.max(most, ++active);
    if (active === 3) full.resolve();
    await full.promise;
    // Time for one job too many to begin.
    await left();
    active--;
  };
  for (let n = 0; n < 30; n++) await enqueue(db, 'task', {});
  await startWorker({ kinds: { task: kind(run, 3) } });
  await emptied();
  expect(most).toBe(3);
});

it('a job exists if, and only if, its transaction commits', async () => {
  await expect(
    db.transaction(async (tx) => {
      await enqueue(tx, 'task', {});
      throw new Error('changed my mind');
    }),
  ).rejects.toThrow('changed my mind');
  expect(await left()).toEqual([]);
  await db.transaction((tx) => enqueue(tx, 'task', {}));
  expect(await left()).toEqual(['task']);
});

it('a job whose process has died is taken by another when its lease is over', async () => {
  const id = await queued();
  const dead = { owner: randomUUID(), kinds: ['visible'], leaseMs: 60_000, besides: [] };
  expect(await claimNext(db, dead)).toMatchObject({ id, attempts: 1 });
  expect(await claimNext(db, { ...dead, owner: randomUUID() })).toBeUndefined();
  await startWorker({
    leaseMs: 0,
    kinds: { visible: kind((_, { finish }) => db.transaction((tx) => finish(tx, counts))) },
  });
  await until(id, 'done');
  expect(await selectJob(db, id)).toMatchObject({ attempts: 2, added: 1, rows: 7, processed: 7 });
  // The first one lives after all: it learns that the job is not its own.
  expect(await heartbeat(db, dead.owner, [{ id, rows: 7, processed: 1 }])).toEqual(new Set());
});

it('a job that is alive keeps its lease, however long it takes, and shows how far it is', async () => {
  const id = await queued();
  let runs = 0;
  const end = Promise.withResolvers<void>();
  const run: JobKind['run'] = async (_, { progress, finish }) => {
    runs++;
    progress(3);
    await end.promise;
    await db.transaction((tx) => finish(tx, counts));
  };
  for (let i = 0; i < 3; i++) await startWorker({ leaseMs: 600_000, heartbeatMs: 10, kinds: { visible: kind(run) } });
  await untilPasses(async () => expect(await selectJob(db, id)).toMatchObject({ state: 'running', processed: 3 }));
  // As if half of the lease had run out, over and over: the heartbeats renew it.
  for (let i = 0; i < 5; i++) {
    await db.query(sql`UPDATE jobs SET heartbeat_at = clock_timestamp() - interval '5 minutes'`);
    await untilPasses(async () =>
      expect(
        await db.query(sql`SELECT FROM jobs WHERE heartbeat_at > clock_timestamp() - interval '5 minutes'`),
      ).toHaveLength(1),
    );
  }
  end.resolve();
  await until(id, 'done');
  expect(runs).toBe(1);
});

it('a job whose heartbeats are late is not begun a second time by its own process', async () => {
  const first = await queued();
  const begun: number[] = [];
  const end = Promise.withResolvers<void>();
  const run: JobKind['run'] = async ({ id }, { finish }) => {
    begun.push(id);
    await end.promise;
    await db.transaction((tx) => finish(tx, counts));
  };
  await startWorker({ heartbeatMs: 600_000, kinds: { visible: kind(run, 2) } });
  await untilPasses(() => expect(begun).toEqual([first]));
  await db.query(sql`UPDATE jobs SET heartbeat_at = clock_timestamp() - interval '1 hour'`);
  // Would be claimed after the first, which is older.
  const second = await queued();
  await untilPasses(() => expect(begun).toHaveLength(2));
  expect(begun).toEqual([first, second]);
  end.resolve();
  for (const id of begun) await until(id, 'done');
});

it('a job that is cancelled while it runs is told so, and its changes are rolled back', async () => {
  const id = await queued();
  const told = Promise.withResolvers<unknown>();
  const began = Promise.withResolvers<void>();
  const run = (_: JobRow, { signal, finish }: JobContext) =>
    db
      .transaction(async (tx) => {
        await enqueue(tx, 'effect', {});
        began.resolve();
        await new Promise((resolve) => signal.addEventListener('abort', resolve));
        await finish(tx, counts);
      })
      .catch((error) => {
        told.resolve(error);
        throw error;
      });
  await startWorker({ kinds: { visible: kind(run) } });
  await began.promise;
  expect(await markCancelled(db, id)).toBe(true);
  expect(await told.promise).toMatchObject({ message: 'the job was cancelled or taken over' });
  expect(await left()).toEqual(['visible']);
  expect(await selectJob(db, id)).toMatchObject({ state: 'cancelled', added: 0, processed: 0 });
});

it('stopping gives a job back without counting the attempt', async () => {
  const id = await queued();
  const began = Promise.withResolvers<void>();
  const run = async (_: JobRow, { signal }: JobContext) => {
    began.resolve();
    await new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
  };
  const worker = await startWorker({ kinds: { visible: kind(run) } });
  await began.promise;
  await worker.stop();
  expect(await selectJob(db, id)).toMatchObject({ state: 'queued', attempts: 0 });
});

it('stopping also gives a job back that is being claimed at that moment', async () => {
  const id = await queued();
  await db.query(sql`CREATE FUNCTION wait_for_test() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN PERFORM pg_advisory_xact_lock(1); RETURN NEW; END $$`);
  await db.query(sql`CREATE TRIGGER claim BEFORE UPDATE ON jobs FOR EACH ROW WHEN (NEW.state = 'running')
    EXECUTE FUNCTION wait_for_test()`);
  onTestFinished(async () => void (await db.query(sql`DROP FUNCTION wait_for_test CASCADE`)));
  const run = async (_: JobRow, { signal }: JobContext) => {
    signal.throwIfAborted();
    await new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
  };
  let stopped: Promise<void> | undefined;
  await db.transaction(async (tx) => {
    await tx.query(sql`SELECT pg_advisory_xact_lock(1)`);
    const worker = await startWorker({ kinds: { visible: kind(run) } });
    await untilPasses(async () => {
      const waiting = await db.query(sql`
        SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'advisory'`);
      expect(waiting).toHaveLength(1);
    });
    stopped = worker.stop();
  });
  await stopped;
  expect(await selectJob(db, id)).toMatchObject({ state: 'queued', attempts: 0 });
});

it('what its caller can change fails a job at once; an error of ours has it tried again, ten times at most', async () => {
  const onError = vi.fn();
  let tries = 0;
  const refused = await queued('a');
  const run = async (job: JobRow) => {
    if (job.id === refused) throw new JobFailed([{ line: 3, message: 'names no user' }]);
    tries++;
    throw new Error('secret detail');
  };
  await startWorker({ backoffMs: 0, onError, kinds: { visible: kind(run) } });
  await until(refused, 'failed');
  expect(await selectJob(db, refused)).toMatchObject({ errors: [{ line: 3, message: 'names no user' }], attempts: 1 });
  const broken = await queued('a');
  await until(broken, 'failed');
  expect(await selectJob(db, broken)).toMatchObject({
    errors: [{ line: null, message: 'internal error; the log of the service has more' }],
  });
  const failures = onError.mock.calls.filter(([, what]) => what === `job ${broken} (visible) failed`);
  expect([tries, failures.length]).toEqual([10, 10]);
});

it('a job that ends its process each time is given up', async () => {
  const id = await queued();
  await db.query(sql`UPDATE jobs SET attempts = 10`);
  const run = vi.fn();
  await startWorker({ kinds: { visible: kind(run) } });
  await until(id, 'failed');
  expect(run).not.toHaveBeenCalled();
});

it('a job of ours is tried until it succeeds, with a pause that doubles', async () => {
  let tries = 0;
  const run = async () => {
    if (++tries < 13) throw new Error('not yet');
  };
  await enqueue(db, 'task', {});
  await startWorker({ backoffMs: 0, kinds: { task: kind(run) } });
  await emptied();
  expect(tries).toBe(13);

  await enqueue(db, 'slow', {});
  await db.query(sql`UPDATE jobs SET attempts = 4`);
  const clock = async () => (await db.query<{ now: Date }>(sql`SELECT clock_timestamp() AS now`))[0]?.now.getTime();
  let failedAt: number | undefined;
  const slow = async () => {
    failedAt = await clock();
    throw new Error('not yet');
  };
  await startWorker({ backoffMs: 10_000, kinds: { slow: kind(slow) } });
  const [job] = await untilPasses(async () => {
    const found = await db.query<{ at: Date }>(sql`
      SELECT run_at AS at FROM jobs WHERE state = 'queued' AND attempts = 5`);
    expect(found).toHaveLength(1);
    return found;
  });
  // Between its failure and now it was given its pause: ten seconds that have doubled four times.
  const [at = 0, now = 0] = [job?.at.getTime(), await clock()];
  expect(at - (failedAt ?? now)).toBeGreaterThanOrEqual(160_000);
  expect(at - now).toBeLessThanOrEqual(160_000);
});

it('what is due is queued once for all instances, and not while the one before it is open', async () => {
  let runs = 0;
  const run = async () => {
    runs++;
  };
  const schedules = [{ kind: 'sweep', everySeconds: 3_600 }];
  for (let i = 0; i < 8; i++) await startWorker({ schedules, kinds: { sweep: kind(run) } });
  await untilPasses(async () => expect(await db.query(sql`SELECT FROM job_schedules`)).toHaveLength(1));
  expect(runs).toBe(0);
  for (let round = 1; round <= 3; round++) {
    await db.query(sql`UPDATE job_schedules SET next_at = clock_timestamp() - interval '5 hours'`);
    await untilPasses(() => expect(runs).toBe(round));
    await emptied();
  }
  await db.query(sql`
    INSERT INTO jobs (kind, state, internal, options, actor, run_at)
    VALUES ('sweep', 'queued', true, '{}', 'system', clock_timestamp() + interval '1 hour')`);
  await db.query(sql`UPDATE job_schedules SET next_at = clock_timestamp()`);
  await untilPasses(async () =>
    expect(await db.query(sql`SELECT FROM job_schedules WHERE next_at > clock_timestamp()`)).toHaveLength(1),
  );
  expect(await left()).toEqual(['sweep']);
  expect(runs).toBe(3);
});

it('a database that does not answer is reported once, and the worker goes on when it does', async () => {
  const onError = vi.fn();
  const run = vi.fn(async () => undefined);
  await db.query(sql`ALTER TABLE jobs RENAME TO jobs_away`);
  await startWorker({ onError, pollMs: 2, kinds: { task: kind(run) } });
  await untilPasses(() => expect(onError).toHaveBeenCalledWith(expect.anything(), 'polling for jobs failed'));
  // Time for many more polls.
  await sleep(50);
  expect(onError).toHaveBeenCalledTimes(1);
  await db.query(sql`ALTER TABLE jobs_away RENAME TO jobs`);
  await enqueue(db, 'task', {});
  await emptied();
  expect(run).toHaveBeenCalledTimes(1);
});
