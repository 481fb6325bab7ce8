import * as accounts from './accounts.ts';
import * as auth from './auth.ts';
import type { Endpoint } from './endpoint.ts';
import * as history from './history.ts';
import * as imports from './imports.ts';
import * as jobs from './jobs.ts';
import * as keys from './keys.ts';
import * as memberships from './memberships.ts';
import * as reports from './reports.ts';
import * as segments from './segments.ts';
import * as users from './users.ts';

export * from './common.ts';
export * from './endpoint.ts';
export * from './problem.ts';
export * from './time.ts';
export * from './user-ref.ts';
export { accounts, auth, history, imports, jobs, keys, memberships, reports, segments, users };

function isEndpoint(value: unknown): value is Endpoint {
  return typeof value === 'object' && value !== null && 'method' in value && 'success' in value;
}

/** Every call of the service, in the order of the documentation. */
export const endpoints: readonly Endpoint[] = [
  auth,
  accounts,
  keys,
  users,
  segments,
  memberships,
  history,
  reports,
  imports,
  jobs,
].flatMap((feature) => Object.values(feature).filter(isEndpoint));
