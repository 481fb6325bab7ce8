import * as accounts from './accounts.ts';
import * as attributes from './attributes.ts';
import * as auth from './auth.ts';
import * as console from './console.ts';
import { declaredEndpoints, type Endpoint } from './endpoint.ts';
import * as feeds from './feeds.ts';
import * as history from './history.ts';
import * as imports from './imports.ts';
import * as jobs from './jobs.ts';
import * as keys from './keys.ts';
import * as layers from './layers.ts';
import * as memberships from './memberships.ts';
import * as ofrep from './ofrep.ts';
import * as reports from './reports.ts';
import * as segments from './segments.ts';
import { placeOf } from './tags.ts';
import * as users from './users.ts';
import * as webhooks from './webhooks.ts';

export * from './common.ts';
export * from './consistency.ts';
export * from './endpoint.ts';
export { type ChangeCause, type ChangeType, changeTypes, maxFollowedSegments } from './feeds.ts';
export * from './json.ts';
export { isOfrep, ofrepErrorBody } from './ofrep.ts';
export * from './problem.ts';
export { tags } from './tags.ts';
export * from './time.ts';
export * from './user-ref.ts';
export {
  accounts,
  attributes,
  auth,
  console,
  feeds,
  history,
  imports,
  jobs,
  keys,
  layers,
  memberships,
  ofrep,
  reports,
  segments,
  users,
  webhooks,
};

/** Every call of the service, in the order of the documentation: by tag, then as the features declare them. */
export const endpoints: readonly Endpoint[] = declaredEndpoints.toSorted((a, b) => placeOf(a.tag) - placeOf(b.tag));
