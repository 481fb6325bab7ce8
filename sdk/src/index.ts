export type * from './api.ts';
export type { CacheOptions } from './cache.ts';
export type { CallOptions, ConnectionOptions, Paged, UploadBody } from './call.ts';
export { type Client, type ClientOptions, createClient, type ReadOptions } from './client.ts';
export { DeadlineExceeded, type FieldError, KohortError, Unreachable } from './errors.ts';
export type { FollowJobOptions } from './follow-job.ts';
