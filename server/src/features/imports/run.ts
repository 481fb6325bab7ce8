import {
  type JobContext,
  type JobCounts,
  type JobError,
  type JobKind,
  type JobRow,
  noCounts,
} from '../../jobs/queue.ts';
import type { Database } from '../../postgres/database.ts';
import { sqlState } from '../../postgres/errors.ts';
import { StaleRead } from '../../postgres/stale-read.ts';
import type { DefinitionCache } from '../segments/segments.ts';
import { dropTables } from './staging.sql.ts';

/** The findings of {@link Work.prepare} that the job reports. */
export interface Prepared {
  readonly skipped: number;
  readonly kept: number;
  readonly warnings: readonly JobError[];
}

export type Counted = Omit<JobCounts, 'skipped' | 'kept'> & Partial<JobCounts>;

export interface ImportWork {
  readonly db: Database;
  readonly definitions: DefinitionCache;
}

/** The steps of one kind of import. */
export interface Work {
  /** Builds the plan. Changes nothing that readers see. */
  prepare(context: ImportWork, job: JobRow): Promise<Prepared>;
  /** Counts what {@link apply} would do. */
  preview(context: ImportWork, job: JobRow): Promise<Counted>;
  /** Applies the plan in one transaction. */
  apply(context: ImportWork, job: JobRow, prepared: Prepared, run: JobContext): Promise<void>;
}

const maxRestarts = 5;
const uniqueViolation = '23505';

/** The job handler of an import. The tables of a cancelled import are left to the sweep. */
export function importKind(context: ImportWork, work: Work, atOnce: number): JobKind {
  return {
    atOnce,
    async run(job, run) {
      for (let restart = 1; ; restart++) {
        try {
          return await attempt(context, work, job, run);
        } catch (error) {
          // A single change that started before the fence was visible was faster: it added a pair of the plan, or registered or
          // erased a user of it, or its date follows the import's. The restart sees its commit, so no change is in the way twice.
          const isOutrun = error instanceof StaleRead || sqlState(error) === uniqueViolation;
          if (!isOutrun || restart === maxRestarts) throw error;
        }
      }
    },
    ended: (job) => dropTables(context.db, job.id),
  };
}

async function attempt(context: ImportWork, work: Work, job: JobRow, run: JobContext): Promise<void> {
  const prepared = await work.prepare(context, job);
  run.progress(0);
  if (!(job.options as { dry_run?: boolean }).dry_run) return work.apply(context, job, prepared, run);
  const counts = await work.preview(context, job);
  const { skipped, kept, warnings } = prepared;
  await context.db.transaction((tx) => run.finish(tx, { ...noCounts, skipped, kept, ...counts }, warnings));
}
