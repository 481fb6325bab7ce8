import sql, { type Sql } from 'sql-template-tag';
import type { Db } from '../../postgres/database.ts';

export type JobKind = 'segment_import' | 'user_import';
export type JobState = 'receiving' | 'queued' | 'running' | 'done' | 'failed' | 'cancelled';

export interface JobError {
  /** Null where it is no line that is wrong. */
  readonly line: number | null;
  readonly message: string;
}

export interface JobCounts {
  readonly added: number;
  readonly updated: number;
  readonly removed: number;
  readonly unchanged: number;
}

export interface JobRow extends JobCounts {
  readonly id: number;
  readonly kind: JobKind;
  readonly state: JobState;
  readonly segment_id: number | null;
  readonly options: unknown;
  readonly actor: string;
  readonly attempts: number;
  readonly rows: number;
  readonly processed: number;
  readonly errors: readonly JobError[];
  readonly created_at: Date;
  readonly finished_at: Date | null;
}

const columns = sql`j.id, j.kind, j.state, j.segment_id, j.options, j.actor, j.attempts, j.rows, j.processed, j.added, j.updated,
  j.removed, j.unchanged, j.errors, j.created_at, j.finished_at`;

/** A few lost beats: its process has died, or cannot reach the database. If it lives after all, it finds that it is not its own. */
const abandoned = sql`j.seen_at < clock_timestamp() - interval '5 seconds'`;
/** Nobody takes an upload up, so there is no hurry. */
const brokenOff = sql`j.seen_at < clock_timestamp() - interval '15 seconds'`;
const now = sql`date_trunc('milliseconds', clock_timestamp())`;

export async function insertJob(
  db: Db,
  job: { kind: JobKind; segmentId: number | null; options: object; actor: string; owner: string },
): Promise<number> {
  const rows = await db.write<{ id: number }>(sql`
    INSERT INTO jobs (kind, segment_id, options, actor, owner)
    VALUES (${job.kind}, ${job.segmentId}, ${JSON.stringify(job.options)}, ${job.actor}, ${job.owner})
    RETURNING id`);
  if (!rows[0]) throw new Error('a job without a number');
  return rows[0].id;
}

export async function selectJob(db: Db, id: number): Promise<JobRow | undefined> {
  const rows = await db.query<JobRow>(sql`SELECT ${columns} FROM jobs j WHERE j.id = ${id}`);
  return rows[0];
}

/** Whether it is still ours; the counts are for those who watch. */
export async function beat(
  db: Db,
  id: number,
  owner: string,
  { rows, processed }: { rows: number; processed: number },
): Promise<boolean> {
  const found = await db.write(sql`
    UPDATE jobs j SET seen_at = clock_timestamp(), rows = ${rows}, processed = ${processed}
    WHERE j.id = ${id} AND j.owner = ${owner} AND j.state IN ('receiving', 'running')
    RETURNING j.id`);
  return found.length > 0;
}

/** The upload is complete. False when the job was cancelled meanwhile. */
export async function markQueued(db: Db, id: number, rows: number): Promise<boolean> {
  const found = await db.write(sql`
    UPDATE jobs j SET state = 'queued', owner = NULL, rows = ${rows}
    WHERE j.id = ${id} AND j.state = 'receiving'
    RETURNING j.id`);
  return found.length > 0;
}

/** Takes a job that waits, or whose process has died, unless another has the turn at what it changes. */
export async function claim(db: Db, id: number, owner: string): Promise<JobRow | undefined> {
  const rows = await db.write<JobRow>(sql`
    UPDATE jobs j
    SET state = 'running', owner = ${owner}, seen_at = clock_timestamp(), attempts = j.attempts + 1, processed = 0
    WHERE j.id = ${id} AND (j.state = 'queued' OR j.state = 'running' AND ${abandoned})
      AND NOT EXISTS (
        SELECT FROM jobs o
        WHERE o.finished_at IS NULL AND o.id <> j.id AND o.kind = j.kind AND o.segment_id IS NOT DISTINCT FROM j.segment_id
          AND (o.state = 'running' OR o.state = 'queued' AND o.id < j.id)
      )
    RETURNING ${columns}`);
  return rows[0];
}

/** Gives a job back, for another process to begin anew. */
export async function release(db: Db, id: number, owner: string): Promise<void> {
  await db.write(sql`
    UPDATE jobs j SET state = 'queued', owner = NULL, processed = 0
    WHERE j.id = ${id} AND j.owner = ${owner} AND j.state = 'running'`);
}

/** Ends a job that is still ours; false when it was cancelled, or taken over, before. */
export async function finish(db: Db, id: number, owner: string, counts: JobCounts): Promise<boolean> {
  const { added, updated, removed, unchanged } = counts;
  const found = await db.write(sql`
    UPDATE jobs j
    SET state = 'done', finished_at = ${now}, owner = NULL, processed = j.rows, added = ${added}, updated = ${updated},
      removed = ${removed}, unchanged = ${unchanged}
    WHERE j.id = ${id} AND j.owner = ${owner} AND j.state = 'running'
    RETURNING j.id`);
  return found.length > 0;
}

function failing(errors: readonly JobError[]): Sql {
  return sql`state = 'failed', finished_at = ${now}, owner = NULL, processed = 0, errors = ${JSON.stringify(errors)}::jsonb`;
}

export async function fail(
  db: Db,
  id: number,
  owner: string,
  errors: readonly JobError[],
  rows?: number,
): Promise<boolean> {
  const found = await db.write(sql`
    UPDATE jobs j SET ${failing(errors)}, rows = coalesce(${rows ?? null}::bigint, j.rows)
    WHERE j.id = ${id} AND j.owner = ${owner} AND j.state IN ('receiving', 'running')
    RETURNING j.id`);
  return found.length > 0;
}

/** Fails whatever is under way for a segment; whoever is at it notices and lets go. */
export async function failAllOfSegment(db: Db, segmentId: number, message: string): Promise<void> {
  await db.write(sql`
    UPDATE jobs j SET ${failing([{ line: null, message }])}
    WHERE j.segment_id = ${segmentId} AND j.finished_at IS NULL AND j.state <> 'receiving'`);
}

/** From this moment on nothing of the job will happen: to apply it takes its row. Undefined when it had ended. */
export async function markCancelled(db: Db, id: number): Promise<JobRow | undefined> {
  const rows = await db.write<JobRow>(sql`
    UPDATE jobs j SET state = 'cancelled', finished_at = ${now}, owner = NULL, processed = 0
    WHERE j.id = ${id} AND j.finished_at IS NULL
    RETURNING ${columns}`);
  return rows[0];
}

/** Those that somebody should take up. */
export async function selectWaiting(db: Db): Promise<number[]> {
  const rows = await db.query<{ id: number }>(sql`
    SELECT j.id FROM jobs j
    WHERE j.finished_at IS NULL AND (j.state = 'queued' OR j.state = 'running' AND ${abandoned})
    ORDER BY j.id`);
  return rows.map(({ id }) => id);
}

/** Uploads that broke off, because their process died: nothing is left of them. */
export async function deleteBroken(db: Db): Promise<number> {
  const rows = await db.write(sql`
    DELETE FROM jobs j WHERE j.finished_at IS NULL AND j.state = 'receiving' AND ${brokenOff} RETURNING j.id`);
  return rows.length;
}

export async function deleteReceiving(db: Db, id: number): Promise<void> {
  await db.write(sql`DELETE FROM jobs j WHERE j.id = ${id} AND j.state = 'receiving'`);
}
