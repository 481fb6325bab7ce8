import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startEmbedded } from '@kohort/embedded/start.ts';
import pg from 'pg';
import type { TestProject } from 'vitest/node';
import { migrate } from '../server/src/postgres/migrate.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** A PostgreSQL whose database `kohort_template` has the schema; test files clone it. */
    postgresUrl: string;
  }
}

export const TEMPLATE = 'kohort_template';

/**
 * One PostgreSQL for the whole run: an embedded one of its own, or the one TEST_DATABASE_URL names, to check against another
 * version. Durability is switched off, as nothing here outlives the run.
 */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const given = process.env.TEST_DATABASE_URL;
  const folder = await mkdtemp(join(tmpdir(), 'kohort-test-'));
  const embedded = given
    ? undefined
    : await startEmbedded({
        folder,
        settings: { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off', max_connections: '300' },
      });
  const url = given ?? embedded?.url ?? '';

  const client = new pg.Client({ connectionString: url });
  await client.connect();
  await client.query(`DROP DATABASE IF EXISTS ${TEMPLATE}`);
  await client.query(`CREATE DATABASE ${TEMPLATE}`);
  await client.end();
  const template = new URL(url);
  template.pathname = `/${TEMPLATE}`;
  await migrate(template.href, join(import.meta.dirname, '../schema'));

  project.provide('postgresUrl', url);
  return async () => {
    await embedded?.stop();
    await rm(folder, { recursive: true, force: true });
  };
}
