import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import pg from 'pg';
import { ConfigError } from '../config.ts';
import { advisoryLocks } from './advisory-locks.ts';
import { sqlState } from './errors.ts';
import { refuseUndeclaredPooler } from './pooler.ts';
import { statementsOf } from './split.ts';

const idleTimeoutMs = 600_000;
const lockNotAvailable = '55P03';

export interface MigrateLimits {
  /** How long to wait for another instance that migrates. */
  readonly turnMs: number;
  /** How long a change of the schema waits for a lock. Calls that want the same table wait behind it. */
  readonly lockMs: number;
}

const defaultLimits: MigrateLimits = { turnMs: 600_000, lockMs: 30_000 };

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

/** A wait that ends is a sentence; one that does not is an instance that never starts, and says nothing. */
function refuseLongWait(error: unknown, { turnMs, lockMs }: MigrateLimits, hasTurn: boolean): never {
  if (sqlState(error) !== lockNotAvailable) throw error;
  throw new ConfigError(
    hasTurn
      ? `Migrating waited ${lockMs / 1000} s for a lock that another session holds, and gave up. Nothing was changed. Find that session in pg_stat_activity, end it or wait for it, then start again.`
      : `Another instance has been migrating this database for ${turnMs / 1000} s. Nothing was changed. Start again when it has ended.`,
  );
}

/** External ids and attributes are any Unicode text, and another encoding holds only a part of it. */
async function refuseOtherEncodings(client: pg.Client): Promise<void> {
  const { rows } = await client.query<{ encoding: string }>("SELECT current_setting('server_encoding') AS encoding");
  const encoding = rows[0]?.encoding;
  if (encoding === 'UTF8') return;
  throw new ConfigError(
    `The database has the encoding ${encoding}, but Kohort needs UTF8. Create one: createdb --encoding=UTF8 --template=template0 NAME.`,
  );
}

/** Waits for its turn. What follows runs with the limits of a change of the schema. */
async function begin(client: pg.Client, limits: MigrateLimits): Promise<void> {
  await client.query('BEGIN');
  await client.query(`SET LOCAL lock_timeout = ${Math.trunc(limits.turnMs)}`);
  await client
    .query('SELECT pg_advisory_xact_lock($1)', [advisoryLocks.migration])
    .catch((error) => refuseLongWait(error, limits, false));
  await client.query(`SET LOCAL lock_timeout = ${Math.trunc(limits.lockMs)}`);
  // Citus refuses to change a reference table beside what is done in parallel to tables that refer to it. Elsewhere it means nothing.
  await client.query("SET LOCAL citus.multi_shard_modify_mode = 'sequential'");
}

/**
 * One statement after another. Citus hands the text that a statement came in on to the workers, which refuse several in one. The
 * extended protocol refuses them here too.
 */
async function applyFile(client: pg.Client, file: string): Promise<void> {
  for (const text of statementsOf(await readFile(file, 'utf8'))) {
    const statement: pg.QueryConfig & { readonly queryMode: 'extended' } = { text, queryMode: 'extended' };
    await client.query(statement);
  }
}

/**
 * Brings the database to the newest schema in `folder`, in one transaction under an advisory lock, so that any number of
 * instances may start at once. The files and the table `schema_migrations` are golang-migrate's, whose tool can run them too.
 * @returns the version of the database.
 * @throws ConfigError when the database is newer than the folder, another tool left it dirty, its encoding is not UTF8, or a lock
 * is not to be had.
 */
export async function migrate(url: string, folder: string, limits: MigrateLimits = defaultLimits): Promise<number> {
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
    await refuseOtherEncodings(client);
    await begin(client, limits);
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
      await applyFile(client, file).catch((error) => refuseLongWait(error, limits, true));
      await client.query('DELETE FROM schema_migrations');
      await client.query('INSERT INTO schema_migrations (version, dirty) VALUES ($1, false)', [version]);
    }
    await client.query('COMMIT');
    return newest;
  } finally {
    await client.end().catch(() => undefined);
  }
}
