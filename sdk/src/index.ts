export type * from './api.ts';
export type { CacheOptions } from './cache.ts';
export type { CallOptions, ConnectionOptions, Paged, UploadBody } from './call.ts';
export { type Client, type ClientOptions, createClient, type ReadOptions } from './client.ts';
export {
  DeadlineExceeded,
  type FieldError,
  KohortError,
  NotFollowed,
  ResyncRequired,
  StaleReplica,
  Unreachable,
} from './errors.ts';
export type { ChangeBatch, FeedId, FollowOptions } from './feed/follow.ts';
export type { Replica, ReplicaOptions } from './feed/replica.ts';
export type { FeedMember, SnapshotPart } from './feed/snapshot.ts';
export type { FollowJobOptions } from './follow-job.ts';
