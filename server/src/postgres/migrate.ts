import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import pg from 'pg';
import { ConfigError } from '../config.ts';
import { advisoryLocks } from './advisory-locks.ts';
import { refuseUndeclaredPooler } from './pooler.ts';

const idleTimeoutMs = 600_000;

interface Migration {
  readonly version: number;
  readonly file: string;
}

async function migrationsIn(folder: string): Promise<Migration[]> {
  const files = await readdir(folder);
  return files
    .flatMap((file) => {
      const match = /^(\d+)_.+\.up\.sql$/.exec(file);
      return match ? [{ version: Number(match[1]), file: join(folder, file) }] : [];
    })
    .sort((a, b) => a.version - b.version);
}

/**
 * Brings the database to the newest schema in `folder`, in one transaction under an advisory lock, so that any number of
 * instances may start at once. The files and the table `schema_migrations` are golang-migrate's, whose tool can run them too.
 * @returns the version of the database.
 * @throws ConfigError when the database is newer than the folder, or another tool left it dirty.
 */
export async function migrate(url: string, folder: string): Promise<number> {
  const migrations = await migrationsIn(folder);
  const client = new pg.Client({
    connectionString: url,
    connectionTimeoutMillis: 5_000,
    application_name: 'kohort-migrate',
    // Above all a setting of the session, which a pooler refuses: migrations must not go through one.
    idle_in_transaction_session_timeout: idleTimeoutMs,
  });
  client.on('error', () => undefined);
  await client.connect().catch(refuseUndeclaredPooler);
  try {
    await client.query('BEGIN');
    await client.query('SELECT pg_advisory_xact_lock($1)', [advisoryLocks.migration]);
    await client.query(
      'CREATE TABLE IF NOT EXISTS schema_migrations (version bigint NOT NULL PRIMARY KEY, dirty boolean NOT NULL)',
    );
    const { rows } = await client.query<{ version: string; dirty: boolean }>(
      'SELECT version::text AS version, dirty FROM schema_migrations',
    );
    const current = Number(rows[0]?.version ?? 0);
    const newest = migrations.at(-1)?.version ?? 0;
    if (rows[0]?.dirty) {
      throw new ConfigError(
        `The database is marked dirty at schema version ${current}: another tool failed half-way. Fix it by hand, clear the mark in schema_migrations, then start again.`,
      );
    }
    if (current > newest) {
      throw new ConfigError(
        `The database is at schema version ${current}, but this build knows only ${newest}. Start a newer build.`,
      );
    }
    for (const { version, file } of migrations.filter((migration) => migration.version > current)) {
      await client.query(await readFile(file, 'utf8'));
      await client.query('DELETE FROM schema_migrations');
      await client.query('INSERT INTO schema_migrations (version, dirty) VALUES ($1, false)', [version]);
    }
    await client.query('COMMIT');
    return newest;
  } finally {
    await client.end().catch(() => undefined);
  }
}
