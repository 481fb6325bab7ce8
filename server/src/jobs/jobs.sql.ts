import { maxJobErrors } from '@kohort/contract';
import sql, { type Sql } from 'sql-template-tag';
import type { Db } from '../postgres/database.ts';
import type { JobCounts, JobEntry, JobError, JobState, ShownJob } from './job.ts';

const columnsBesideOptions = sql`j.id, j.kind, j.state, j.internal, j.segment_id, j.actor, j.attempts, j.rows, j.processed,
  j.added, j.updated, j.removed, j.unchanged,
  j.skipped, j.lapsed, j.kept, j.errors, j.result::text AS result, j.created_at, j.finished_at`;
export const columns = sql`${columnsBesideOptions}, j.options`;

const now = sql`date_trunc('milliseconds', clock_timestamp())`;

/** A page of a thousand jobs, each with such a message, stays below 4 MiB. */
const maxMessageChars = 500;

function errorsAsJson(errors: readonly JobError[]): string {
  const shortened = errors.map(({ message, ...error }) => ({
    ...error,
    message: message.length > maxMessageChars ? `${message.slice(0, maxMessageChars - 1).toWellFormed()}…` : message,
  }));
  return JSON.stringify(shortened);
}

export interface NewJob {
  readonly kind: string;
  readonly lane: string;
  readonly segmentId: number | null;
  readonly options: object;
  readonly actor: string;
}

/** Creates a job whose upload starts. */
export async function insertReceiving(db: Db, owner: string, job: NewJob): Promise<number> {
  const rows = await db.write<{ id: number }>(sql`
    INSERT INTO jobs (kind, lane, segment_id, options, actor, owner)
    VALUES (${job.kind}, ${job.lane}, ${job.segmentId}, ${JSON.stringify(job.options)}, ${job.actor}, ${owner})
    RETURNING id`);
  if (!rows[0]) throw new Error('a job without a number');
  return rows[0].id;
}

/** Creates a job that needs no upload. */
export async function insertQueued(db: Db, job: NewJob & { readonly rows: number }): Promise<number> {
  const rows = await db.write<{ id: number }>(sql`
    INSERT INTO jobs (kind, state, lane, segment_id, options, actor, rows)
    VALUES (${job.kind}, 'queued', ${job.lane}, ${job.segmentId}, ${JSON.stringify(job.options)}, ${job.actor}, ${job.rows})
    RETURNING id`);
  if (!rows[0]) throw new Error('a job without a number');
  return rows[0].id;
}

/** A job that callers may see. What a question asks is left out: it may be a megabyte, and each follower reads its job all the time. */
export async function selectJob(db: Db, id: number): Promise<ShownJob | undefined> {
  const rows = await db.query<ShownJob>(sql`
    SELECT ${columnsBesideOptions}, CASE WHEN j.kind = 'question' THEN '{}' ELSE j.options END AS options, s.slug AS segment
    FROM jobs j LEFT JOIN segments s ON s.id = j.segment_id
    WHERE j.id = ${id} AND NOT j.internal`);
  return rows[0];
}

export interface JobsQuery {
  readonly state: JobState | undefined;
  readonly kind: string | undefined;
  /** The current slug, or the last one of a deleted segment. */
  readonly segment: string | undefined;
  /** A key with tags: it sees the jobs of segments that carry one of them, and its own about no segment. */
  readonly key: { readonly tags: readonly string[]; readonly actor: string } | undefined;
  readonly before: number;
  readonly limit: number;
}

/** Newest first. Ended jobs are deleted after some days, so a filter skips few rows. */
export function selectJobs(db: Db, { state, kind, segment, key, before, limit }: JobsQuery): Promise<JobEntry[]> {
  return db.query<JobEntry>(sql`
    SELECT j.id, j.kind, j.state, s.slug AS segment, coalesce((j.options->>'dry_run')::boolean, false) AS dry_run, j.actor,
      j.rows, j.processed, j.added, j.updated, j.removed, j.unchanged, j.skipped, j.lapsed, j.kept,
      CASE j.state WHEN 'failed' THEN j.errors->0->>'message' END AS error, j.created_at, j.finished_at
    FROM jobs j LEFT JOIN segments s ON s.id = j.segment_id
    WHERE j.id < ${before} AND NOT j.internal
      AND (${state}::text IS NULL OR j.state = ${state})
      AND (${kind}::text IS NULL OR j.kind = ${kind})
      AND (${segment}::text IS NULL OR s.slug = ${segment})
      AND (${key?.tags}::text[] IS NULL OR s.tags && ${key?.tags}::text[] OR j.segment_id IS NULL AND j.actor = ${key?.actor})
    ORDER BY j.id DESC
    LIMIT ${limit}`);
}

/** Called when the upload is complete. False if the job was cancelled meanwhile. */
export async function markQueued(
  db: Db,
  id: number,
  { rows, warnings }: { rows: number; warnings: readonly JobError[] },
): Promise<boolean> {
  const found = await db.write(sql`
    UPDATE jobs j SET state = 'queued', owner = NULL, rows = ${rows}, run_at = clock_timestamp(),
      errors = ${errorsAsJson(warnings)}::jsonb
    WHERE j.id = ${id} AND j.state = 'receiving'
    RETURNING j.id`);
  return found.length > 0;
}

/** Ends a job that this process still leases. False if it was cancelled or taken over before. */
export async function finish(
  db: Db,
  id: number,
  owner: string,
  { counts, warnings, rows }: { counts: JobCounts; warnings: readonly JobError[]; rows: number },
): Promise<boolean> {
  const { added, updated, removed, unchanged, skipped, lapsed, kept } = counts;
  const found = await db.write(sql`
    UPDATE jobs j
    SET state = 'done', finished_at = ${now}, owner = NULL, rows = ${rows}, processed = ${rows}, added = ${added}, updated = ${updated},
      removed = ${removed}, unchanged = ${unchanged}, skipped = ${skipped}, lapsed = ${lapsed}, kept = ${kept},
      errors = (
        SELECT coalesce(jsonb_agg(f.error), '[]')
        FROM (
          SELECT e.error FROM jsonb_array_elements(j.errors || ${errorsAsJson(warnings)}::jsonb) AS e(error)
          ORDER BY (e.error->>'line')::bigint
          LIMIT ${maxJobErrors}
        ) f
      )
    WHERE j.id = ${id} AND j.owner = ${owner} AND j.state = 'running'
    RETURNING j.id`);
  return found.length > 0;
}

function failing(errors: readonly JobError[]): Sql {
  return sql`state = 'failed', finished_at = ${now}, owner = NULL, processed = 0, errors = ${errorsAsJson(errors)}::jsonb`;
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

/** Fails all open jobs of a segment. A process that runs one notices and stops. */
export async function failAllOfSegment(db: Db, segmentId: number, message: string): Promise<void> {
  await db.write(sql`
    UPDATE jobs j SET ${failing([{ line: null, message }])}
    WHERE j.segment_id = ${segmentId} AND j.finished_at IS NULL AND j.state <> 'receiving'`);
}

/** After this the job has no effect, since applying it locks its row. False if it had ended. */
export async function markCancelled(db: Db, id: number): Promise<boolean> {
  const rows = await db.write(sql`
    UPDATE jobs j SET state = 'cancelled', finished_at = ${now}, owner = NULL, processed = 0
    WHERE j.id = ${id} AND j.finished_at IS NULL AND NOT j.internal
    RETURNING j.id`);
  return rows.length > 0;
}

/** Deletes uploads whose process has died. No other process can continue them, so there is no hurry. */
export async function deleteBrokenUploads(db: Db): Promise<void> {
  await db.write(sql`
    DELETE FROM jobs j
    WHERE j.finished_at IS NULL AND j.state = 'receiving' AND j.heartbeat_at < clock_timestamp() - interval '15 seconds'`);
}

/** Deletes one job that ended at least `days` ago, with the data for its undo. False if there is none. */
export async function deleteEnded(db: Db, days: number): Promise<boolean> {
  const rows = await db.write(sql`
    DELETE FROM jobs j
    WHERE j.id = (
      SELECT e.id FROM jobs e WHERE e.finished_at < clock_timestamp() - make_interval(days => ${days}) ORDER BY e.id LIMIT 1
    )
    RETURNING j.id`);
  return rows.length > 0;
}

export async function deleteReceiving(db: Db, id: number): Promise<void> {
  await db.write(sql`DELETE FROM jobs j WHERE j.id = ${id} AND j.state = 'receiving'`);
}
