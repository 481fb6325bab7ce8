import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startEmbedded } from '@kohort/embedded/start.ts';
import pg from 'pg';
import type { TestProject } from 'vitest/node';
import { migrate } from '../server/src/postgres/migrate.ts';
import { findPgBouncer, type Pooler, startPooler } from './pooler.ts';
import { reap } from './reaper.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** The URL of the PostgreSQL, or of Citus's coordinator. */
    postgresUrl: string;
    /** The URLs of all servers that a database is created on: one, or the coordinator and the workers. */
    nodeUrls: string[];
    /** Databases that test files copy: with the schema, and without. */
    templates: { migrated: string; empty: string };
    /** The port of the PgBouncer between services and PostgreSQL; 0 without one. */
    poolerPort: number;
  }
}

interface TestPostgres {
  readonly url: string;
  stop(): Promise<void>;
}

const TEMPLATE = 'kohort_template';
/** Nothing here outlives the run. */
const SETTINGS = {
  fsync: 'off',
  synchronous_commit: 'off',
  full_page_writes: 'off',
  max_connections: '300',
};

async function startPostgres(): Promise<TestPostgres> {
  const given = process.env.TEST_DATABASE_URL;
  if (given) return { url: given, stop: async () => undefined };
  const folder = await mkdtemp(join(tmpdir(), 'kohort-test-'));
  reap({ folder });
  reap({ cluster: join(folder, 'postgres') });
  const { url, stop } = await startEmbedded({ folder, settings: SETTINGS });
  return {
    url,
    async stop() {
      await stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function createTemplate(url: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  await client.query(`DROP DATABASE IF EXISTS ${TEMPLATE}`);
  await client.query(`CREATE DATABASE ${TEMPLATE}`);
  await client.end();
  const template = new URL(url);
  template.pathname = `/${TEMPLATE}`;
  await migrate(template.href, join(import.meta.dirname, '../schema'));
}

interface Shared {
  postgres: Promise<TestPostgres>;
  pooler: Promise<Pooler> | undefined;
  users: number;
}

declare global {
  /** Each project loads this file again, but all of them share one PostgreSQL. */
  var kohortTestPostgres: Shared | undefined;
}

async function poolerBefore(postgres: Promise<TestPostgres>): Promise<Pooler> {
  const command = await findPgBouncer();
  if (!command) throw new Error('TEST_PGBOUNCER needs pgbouncer, and it is not installed');
  return startPooler({ command, url: (await postgres).url });
}

/** Whether the services of this project's tests reach PostgreSQL through PgBouncer. */
function isPooled(project: TestProject): boolean {
  return process.env.TEST_PGBOUNCER === '1' || project.name === 'pooled';
}

/**
 * Starts one PostgreSQL for the whole run, or uses the one that TEST_DATABASE_URL names, which may be of another version. With
 * TEST_PGBOUNCER=1 a PgBouncer stands in front of it.
 */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  globalThis.kohortTestPostgres ??= {
    users: 0,
    pooler: undefined,
    postgres: startPostgres().then(async (started) => {
      await createTemplate(started.url);
      return started;
    }),
  };
  const shared = globalThis.kohortTestPostgres;
  shared.users++;
  const postgres = await shared.postgres;
  project.provide('postgresUrl', postgres.url);
  project.provide('nodeUrls', [postgres.url]);
  project.provide('templates', { migrated: TEMPLATE, empty: 'template1' });
  if (isPooled(project)) shared.pooler ??= poolerBefore(shared.postgres);
  project.provide('poolerPort', isPooled(project) ? ((await shared.pooler)?.port ?? 0) : 0);
  return async () => {
    if (--shared.users > 0) return;
    await (await shared.pooler)?.stop();
    await postgres.stop();
  };
}
