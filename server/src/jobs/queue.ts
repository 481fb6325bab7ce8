// What features use of the queue.
export {
  type JobCounts,
  type JobEntry,
  type JobError,
  JobFailed,
  type JobRow,
  type JobState,
  noCounts,
  type ShownJob,
} from './job.ts';
export {
  deleteBrokenUploads,
  deleteEnded,
  deleteReceiving,
  fail,
  failAllOfSegment,
  insertQueued,
  insertReceiving,
  type JobsQuery,
  markCancelled,
  markQueued,
  selectJob,
  selectJobs,
} from './jobs.sql.ts';
export { enqueue, heartbeat, type Schedule } from './queue.sql.ts';
export type { JobContext, JobKind } from './worker.ts';
