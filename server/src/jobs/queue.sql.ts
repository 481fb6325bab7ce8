import sql from 'sql-template-tag';
import type { Db } from '../postgres/database.ts';
import type { JobRow } from './job.ts';
import { columns } from './jobs.sql.ts';

/** Queues a job of ours in the caller's transaction: it exists if, and only if, that commits. */
export async function enqueue(db: Db, kind: string, options: object, lane?: string): Promise<void> {
  await db.write(sql`
    INSERT INTO jobs (kind, state, internal, lane, options, actor)
    VALUES (${kind}, 'queued', true, ${lane ?? null}, ${JSON.stringify(options)}, 'system')`);
}

export interface Claim {
  readonly owner: string;
  /** Those that there is room for. */
  readonly kinds: readonly string[];
  readonly leaseMs: number;
}

/**
 * Takes the oldest job whose turn it is: one that waits, or whose process has not been heard of for the length of the lease.
 * Two processes never take the same one, and of a lane never two: the first by the lock of the row, the second by the unique
 * index `jobs_one_running_per_lane`.
 */
export async function claimNext(db: Db, { owner, kinds, leaseMs }: Claim): Promise<JobRow | undefined> {
  const rows = await db.write<JobRow>(sql`
    WITH next AS MATERIALIZED (
      SELECT c.id FROM jobs c
      WHERE c.finished_at IS NULL AND c.kind = ANY(${kinds}::text[])
        AND (c.state = 'queued' AND c.run_at <= clock_timestamp()
          OR c.state = 'running' AND c.heartbeat_at < clock_timestamp() - ${leaseMs} * interval '1 millisecond')
        AND NOT EXISTS (
          SELECT FROM jobs o
          WHERE o.finished_at IS NULL AND o.lane = c.lane AND o.id <> c.id
            AND (o.state = 'running' OR o.state = 'queued' AND o.id < c.id)
        )
      ORDER BY c.id
      LIMIT 1
      FOR UPDATE OF c SKIP LOCKED
    )
    UPDATE jobs j
    SET state = 'running', owner = ${owner}, heartbeat_at = clock_timestamp(), attempts = j.attempts + 1, processed = 0
    FROM next n
    WHERE j.id = n.id
    RETURNING ${columns}`);
  return rows[0];
}

export interface Progress {
  readonly id: number;
  readonly rows: number;
  readonly processed: number;
}

/** Renews the leases of our jobs, and says how far they are. Returns the ids of those that are still ours. */
export async function heartbeat(db: Db, owner: string, jobs: readonly Progress[]): Promise<Set<number>> {
  const found = await db.write<{ id: number }>(sql`
    UPDATE jobs j SET heartbeat_at = clock_timestamp(), rows = p.rows, processed = p.processed
    FROM unnest(
      ${jobs.map(({ id }) => id)}::bigint[], ${jobs.map(({ rows }) => rows)}::bigint[],
      ${jobs.map(({ processed }) => processed)}::bigint[]
    ) AS p(id, rows, processed)
    WHERE j.id = p.id AND j.owner = ${owner} AND j.state IN ('receiving', 'running')
    RETURNING j.id`);
  return new Set(found.map(({ id }) => id));
}

/** Gives a job back for another process to begin anew. It was no failed attempt. */
export async function release(db: Db, id: number, owner: string): Promise<void> {
  await db.write(sql`
    UPDATE jobs j SET state = 'queued', owner = NULL, processed = 0, attempts = j.attempts - 1
    WHERE j.id = ${id} AND j.owner = ${owner} AND j.state = 'running'`);
}

export async function retryLater(db: Db, id: number, owner: string, pauseMs: number): Promise<void> {
  await db.write(sql`
    UPDATE jobs j
    SET state = 'queued', owner = NULL, processed = 0, run_at = clock_timestamp() + ${pauseMs} * interval '1 millisecond'
    WHERE j.id = ${id} AND j.owner = ${owner} AND j.state = 'running'`);
}

export async function deleteDone(db: Db, id: number, owner: string): Promise<void> {
  await db.write(sql`DELETE FROM jobs j WHERE j.id = ${id} AND j.owner = ${owner}`);
}

export interface Schedule {
  readonly kind: string;
  readonly everySeconds: number;
}

/** A schedule that is new is due one interval from now. */
export async function insertSchedules(db: Db, schedules: readonly Schedule[]): Promise<void> {
  await db.write(sql`
    INSERT INTO job_schedules (kind, next_at)
    SELECT s.kind, clock_timestamp() + s.every * interval '1 second'
    FROM unnest(${schedules.map(({ kind }) => kind)}::text[], ${schedules.map(({ everySeconds }) => everySeconds)}::int[])
      AS s(kind, every)
    ON CONFLICT ON CONSTRAINT job_schedules_pkey DO NOTHING`);
}

/** Queues what is due, once for all instances; not while the one before it waits or runs. Missed times are not made up for. */
export async function enqueueDue(db: Db, schedules: readonly Schedule[]): Promise<void> {
  await db.write(sql`
    WITH due AS (
      UPDATE job_schedules d SET next_at = clock_timestamp() + s.every * interval '1 second'
      FROM unnest(${schedules.map(({ kind }) => kind)}::text[], ${schedules.map(({ everySeconds }) => everySeconds)}::int[])
        AS s(kind, every)
      WHERE d.kind = s.kind AND d.next_at <= clock_timestamp()
      RETURNING d.kind
    )
    INSERT INTO jobs (kind, state, internal, options, actor)
    SELECT d.kind, 'queued', true, '{}', 'system' FROM due d
    WHERE NOT EXISTS (SELECT FROM jobs j WHERE j.finished_at IS NULL AND j.kind = d.kind)`);
}
