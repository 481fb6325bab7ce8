export type JobState = 'receiving' | 'queued' | 'running' | 'done' | 'failed' | 'cancelled';

export interface JobError {
  /** Null for an error that is not in a line. */
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
  readonly created_at: Date;
  readonly finished_at: Date | null;
}

/** The job cannot be done, for reasons that its caller can change. It has no effect. */
export class JobFailed extends Error {
  readonly errors: readonly JobError[];

  constructor(errors: readonly JobError[]) {
    super(errors[0]?.message);
    this.errors = errors;
  }
}
