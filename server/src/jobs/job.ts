export type JobState = 'receiving' | 'queued' | 'running' | 'done' | 'failed' | 'cancelled';

export interface JobError {
  /** Null for an error that does not concern one line. */
  readonly line: number | null;
  readonly message: string;
  /** A warning about a row that did not fail the job. */
  readonly level?: 'warning';
}

export interface JobCounts {
  readonly added: number;
  readonly updated: number;
  readonly removed: number;
  readonly unchanged: number;
  /** Rows about users who do not exist. */
  readonly skipped: number;
  /** Users whose expiry has passed. */
  readonly lapsed: number;
  /** Users that an undo skipped, because they were changed since. */
  readonly kept: number;
}

export const noCounts: JobCounts = {
  added: 0,
  updated: 0,
  removed: 0,
  unchanged: 0,
  skipped: 0,
  lapsed: 0,
  kept: 0,
};

export interface JobRow extends JobCounts {
  readonly id: number;
  readonly kind: string;
  readonly state: JobState;
  /** An internal job, which callers do not see. */
  readonly internal: boolean;
  readonly segment_id: number | null;
  readonly options: unknown;
  readonly actor: string;
  readonly attempts: number;
  readonly rows: number;
  readonly processed: number;
  readonly errors: readonly JobError[];
  /** The answer of a finished question, as JSON: up to some megabytes, which nothing here reads. */
  readonly result: string | null;
  readonly created_at: Date;
  readonly finished_at: Date | null;
}

/** A job in the form that callers see. */
export interface ShownJob extends JobRow {
  /** The slug of its segment, or the last one that a deleted segment had. */
  readonly segment: string | null;
}

/** The form in lists, without large fields. */
export interface JobEntry
  extends Omit<ShownJob, 'errors' | 'result' | 'internal' | 'segment_id' | 'options' | 'attempts'> {
  readonly dry_run: boolean;
  readonly error: string | null;
}

/** The job failed for reasons that its caller can change. It has no effect. */
export class JobFailed extends Error {
  readonly errors: readonly JobError[];

  constructor(errors: readonly JobError[]) {
    super(errors[0]?.message);
    this.errors = errors;
  }
}
