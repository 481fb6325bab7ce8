import { defineConfig } from 'vitest/config';
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
/** More than there are cores: most of a test's time is spent waiting for a database or a process. */
const maxWorkers = 3;
const postgres = 'testkit/global-setup.ts';
const hasPooler = process.env.TEST_PGBOUNCER === undefined && (await findPgBouncer()) !== undefined;

export default defineConfig({
  test: {
    pool: 'forks',
    reporters: ['default', './testkit/closing-line.ts'],
    setupFiles: ['testkit/end-with-runner.ts', 'testkit/use-pooler.ts'],
    testTimeout: 60_000,
    hookTimeout: 120_000,
    projects: [
      {
        extends: true,
        test: { name: 'unit', include: UNIT, maxWorkers: 2, sequence: { groupOrder: 0 } },
      },
      {
        extends: true,
        test: {
          // A service in this process, on a database of its own.
          name: 'service',
          include: [`${FOLDERS}/**/*.test.ts`],
          exclude: ['**/node_modules/**', ...UNIT, ...PROCESS],
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
    ],
  },
});
