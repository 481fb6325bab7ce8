export type JobState = 'receiving' | 'queued' | 'running' | 'done' | 'failed' | 'cancelled';

export interface JobError {
  /** Null for an error that is not in a line. */
  readonly line: number | null;
  readonly message: string;
  /** Of a row that did not fail the job. */
  readonly level?: 'warning';
}

export interface JobCounts {
  readonly added: number;
  readonly updated: number;
  readonly removed: number;
  readonly unchanged: number;
  /** Rows about users who do not exist. */
  readonly skipped: number;
  /** Users whose own time has passed. */
  readonly lapsed: number;
  /** Users whom an undo left alone, because they were changed since. */
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
  /** One of ours, which callers do not see. */
  readonly internal: boolean;
  readonly segment_id: number | null;
  readonly options: unknown;
  readonly actor: string;
  readonly attempts: number;
  readonly rows: number;
  readonly processed: number;
  readonly errors: readonly JobError[];
  /** Of a question that is done. */
  readonly result: unknown;
  readonly created_at: Date;
  readonly finished_at: Date | null;
}

/** A job as callers see it. */
export interface ShownJob extends JobRow {
  /** The slug of its segment, or the last one that a deleted segment had. */
  readonly segment: string | null;
}

/** In a list: what may be large is left out. */
export interface JobEntry
  extends Omit<ShownJob, 'errors' | 'result' | 'internal' | 'segment_id' | 'options' | 'attempts'> {
  readonly dry_run: boolean;
  readonly error: string | null;
}

/** The job cannot be done, for reasons that its caller can change. It has no effect. */
export class JobFailed extends Error {
  readonly errors: readonly JobError[];

  constructor(errors: readonly JobError[]) {
    super(errors[0]?.message);
    this.errors = errors;
  }
}
