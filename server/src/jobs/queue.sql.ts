import sql from 'sql-template-tag';
import type { Db } from '../postgres/database.ts';
import type { JobRow } from './job.ts';
import { columns } from './jobs.sql.ts';

/** Queues an internal job in the caller's transaction: it exists if and only if that commits. */
export async function enqueue(db: Db, kind: string, options: object, lane?: string): Promise<void> {
  await db.write(sql`
    INSERT INTO jobs (kind, state, internal, lane, options, actor)
    VALUES (${kind}, 'queued', true, ${lane ?? null}, ${JSON.stringify(options)}, 'system')`);
}

export interface Claim {
  readonly owner: string;
  /** The kinds that there is room for. */
  readonly kinds: readonly string[];
  readonly leaseMs: number;
  /** Jobs that this process is still busy with, whatever has become of their leases. */
  readonly besides: readonly number[];
}

/**
 * Claims the oldest job that is due: one that waits, or one whose lease has expired. Two processes never claim the same job,
 * because of the row lock, nor two jobs of one lane, because of the unique index `jobs_one_running_per_lane`.
 */
export async function claimNext(db: Db, { owner, kinds, leaseMs, besides }: Claim): Promise<JobRow | undefined> {
  const rows = await db.write<JobRow>(sql`
    WITH next AS MATERIALIZED (
      SELECT c.id FROM jobs c
      WHERE c.finished_at IS NULL AND c.kind = ANY(${kinds}::text[]) AND c.id <> ALL(${besides}::bigint[])
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

/** Renews the leases of this process and stores the progress of its jobs. Returns the ids it still leases. */
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

/** Returns a job to the queue, to be started again by another process. Does not count as a failed attempt. */
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

/** A new schedule is due one interval from now. */
export async function insertSchedules(db: Db, schedules: readonly Schedule[]): Promise<void> {
  await db.write(sql`
    INSERT INTO job_schedules (kind, next_at)
    SELECT s.kind, clock_timestamp() + s.every * interval '1 second'
    FROM unnest(${schedules.map(({ kind }) => kind)}::text[], ${schedules.map(({ everySeconds }) => everySeconds)}::int[])
      AS s(kind, every)
    ON CONFLICT ON CONSTRAINT job_schedules_pkey DO NOTHING`);
}

/** Queues due recurring jobs, once for all instances, unless the previous one still waits or runs. Missed runs are skipped. */
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
