/** For the features that do jobs: taking one up, telling that one lives, ending it. */
export {
  beat,
  claim,
  deleteBroken,
  deleteReceiving,
  fail,
  failAllOfSegment,
  finish,
  insertJob,
  type JobCounts,
  type JobError,
  type JobKind,
  type JobRow,
  markQueued,
  release,
  selectWaiting,
} from './jobs.sql.ts';
