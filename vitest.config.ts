import { join } from 'node:path';
import { defineConfig } from 'vitest/config';
import LongestFirst from './testkit/longest-first.ts';
import { findPgBouncer } from './testkit/pooler.ts';

const FOLDERS = '{acceptance,bench,container,contract,embedded,faults,scripts,sdk,server,testkit,web}';
/** No database and no process. */
const UNIT = ['{bench,contract,web}/**/*.test.ts', `${FOLDERS}/**/*.unit.test.ts`];
/** Processes of their own: a service, a PostgreSQL, a command. */
const PROCESS = [
  '{acceptance,container,embedded,faults,scripts,testkit}/**/*.test.ts',
  `${FOLDERS}/**/*.process.test.ts`,
];
/** Run once more with PgBouncer between service and database, where it is installed. */
const POOLED = [
  'acceptance/{seed,imports}.test.ts',
  'server/src/features/memberships/memberships.test.ts',
  'server/src/features/memberships/read/consistency.test.ts',
  'server/src/features/imports/member-import.test.ts',
];
/**
 * Run twice more on Citus, where TEST_CITUS_URL names one: on tables that were empty when they were distributed, and on ones that were
 * not. The others have no statement of their own about users: sockets, the console, single functions, servers that they start.
 */
const CITUS = [
  'faults/queue.test.ts',
  'acceptance/{imports,lifecycle,package,python,secrets,seed,web-provider}.test.ts',
  'sdk/src/{client,reads}.test.ts',
  'sdk/src/feed/feed.test.ts',
  'server/src/**/*.citus.test.ts',
  'server/src/http/{paths,refusals}.test.ts',
  'server/src/jobs/*.test.ts',
  'server/src/segmentation/conditions/agreement.test.ts',
  'server/test/*.test.ts',
  'server/src/features/{accounts,attributes,auth,exports,feeds,fences,history,idempotency,imports,jobs,keys,layers,memberships,ofrep,outbox,questions,reports,segments,sizes,users,webhooks}/**/*.test.ts',
];
/** They read the plans of one server, in which Citus shows its own. */
const PLANS = ['server/src/features/{imports/undo-plan,memberships/plans,memberships/read/pages}.test.ts'];
/** More than there are cores: most of a test's time is spent waiting for a database or a process. */
const maxWorkers = 4;
const postgres = 'testkit/global-setup.ts';
const hasPooler = process.env.TEST_PGBOUNCER === undefined && (await findPgBouncer()) !== undefined;

/** For the processes of the tests and those that they start. */
const compileCache = join(import.meta.dirname, 'node_modules/.cache/node-compile');

export default defineConfig({
  test: {
    pool: 'forks',
    env: { NODE_COMPILE_CACHE: compileCache },
    reporters: ['default', './testkit/closing-line.ts'],
    setupFiles: ['testkit/end-with-runner.ts', 'testkit/use-pooler.ts'],
    sequence: { sequencer: LongestFirst },
    // They only end what hangs: on a busy machine a test may take many times as long as on an idle one.
    testTimeout: 300_000,
    hookTimeout: 300_000,
    expect: { poll: { timeout: 200_000 } },
    projects: [
      {
        extends: true,
        test: { name: 'unit', include: UNIT, isolate: false, maxWorkers: 2, sequence: { groupOrder: 0 } },
      },
      {
        extends: true,
        test: {
          // A service in this process, on a database of its own.
          name: 'service',
          // Loading the server costs more than many a file of tests does: files share a process, and so its modules.
          isolate: false,
          include: [`${FOLDERS}/**/*.test.ts`],
          exclude: ['**/node_modules/**', '**/*.citus.test.ts', ...UNIT, ...PROCESS],
          globalSetup: [postgres],
          maxWorkers,
          sequence: { groupOrder: 1 },
        },
      },
      {
        extends: true,
        test: {
          name: 'process',
          include: PROCESS,
          exclude: ['**/node_modules/**', ...UNIT],
          globalSetup: [postgres],
          maxWorkers,
          sequence: { groupOrder: 1 },
        },
      },
      ...(hasPooler
        ? [
            {
              extends: true as const,
              test: {
                name: 'pooled',
                include: POOLED,
                globalSetup: [postgres],
                maxWorkers,
                sequence: { groupOrder: 1 },
              },
            },
          ]
        : []),
      ...(process.env.TEST_CITUS_URL ? ['citus', 'citus-filled'] : []).map((name) => ({
        extends: true as const,
        test: {
          name,
          include: CITUS,
          exclude: ['**/node_modules/**', '**/*.unit.test.ts', ...PLANS],
          globalSetup: ['testkit/citus-setup.ts'],
          maxWorkers,
          sequence: { groupOrder: 1 },
        },
      })),
    ],
  },
});
