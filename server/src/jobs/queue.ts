// What features use of the queue.
export { type JobCounts, type JobError, JobFailed, type JobRow, type JobState, noCounts } from './job.ts';
export {
  deleteBrokenUploads,
  deleteEnded,
  deleteReceiving,
  fail,
  failAllOfSegment,
  insertQueued,
  insertReceiving,
  markCancelled,
  markQueued,
  selectJob,
} from './jobs.sql.ts';
export { enqueue, heartbeat, type Schedule } from './queue.sql.ts';
export type { JobContext, JobKind } from './worker.ts';
