export type { CallSettings, ClientOptions, Input, Output, UploadBody } from './call.ts';
export { type Client, createClient, type FollowOptions, type Job } from './client.ts';
export { KohortError, Unreachable } from './errors.ts';
