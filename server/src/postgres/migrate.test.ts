import { cp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createDatabase } from '@kohort/testkit/database.ts';
import { temporaryFolder } from '@kohort/testkit/folder.ts';
import pg from 'pg';
import { describe, expect, it } from 'vitest';
import { patientConnections } from '../../test/config.ts';
import { SECRET } from '../../test/listen.ts';
import { ADMIN_PASSWORD } from '../../test/service.ts';
import { createService } from '../app.ts';
import { ConfigError, readConfig } from '../config.ts';
import { advisoryLocks } from './advisory-locks.ts';
import { migrate } from './migrate.ts';

const SCHEMA = join(import.meta.dirname, '../../../schema');
const files = (await readdir(SCHEMA)).filter((file) => file.endsWith('.sql')).sort();
const ups = files.filter((file) => file.endsWith('.up.sql'));
const newest = Number(/^\d+/.exec(ups.at(-1) ?? '')?.[0]);

async function withDatabase(migrated: boolean, work: (url: string, client: pg.Client) => Promise<void>): Promise<void> {
  const database = await createDatabase({ migrated });
  const client = new pg.Client(database.url);
  await client.connect();
  try {
    await work(database.url, client);
  } finally {
    await client.end();
    await database.drop();
  }
}

/** Everything a migration can make, as PostgreSQL itself describes it. */
async function snapshot(client: pg.Client): Promise<string[]> {
  const { rows } = await client.query<{ line: string }>(`
    SELECT 'column ' || table_name || '.' || ordinal_position || ' ' || column_name || ' ' || data_type || ' ' || is_nullable || ' ' ||
      coalesce(column_default, '') || ' ' || coalesce(collation_name, '') || ' ' || coalesce(identity_generation, '') || ' ' ||
      coalesce(identity_maximum, '') || ' ' || coalesce(generation_expression, '') AS line
      FROM information_schema.columns WHERE table_schema = 'public'
    UNION ALL SELECT 'constraint ' || conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid)
      FROM pg_constraint WHERE connamespace = 'public'::regnamespace
    UNION ALL SELECT 'index ' || indexdef FROM pg_indexes WHERE schemaname = 'public'
    UNION ALL SELECT 'function ' || pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND prokind <> 'a'
    UNION ALL SELECT 'trigger ' || pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
    UNION ALL SELECT 'relation ' || relname || ' ' || relkind::text || ' ' || coalesce(reloptions::text, '')
      FROM pg_class WHERE relnamespace = 'public'::regnamespace
    UNION ALL SELECT 'type ' || typname FROM pg_type WHERE typnamespace = 'public'::regnamespace
    UNION ALL SELECT 'schema ' || nspname FROM pg_namespace WHERE nspname NOT LIKE 'pg_%'
    UNION ALL SELECT 'extension ' || extname FROM pg_extension
    ORDER BY 1`);
  return rows.map(({ line }) => line);
}

async function apply(client: pg.Client, file: string): Promise<void> {
  await client.query(await readFile(join(SCHEMA, file), 'utf8'));
}

describe('the files of the schema', () => {
  it('come in pairs, each with a number of its own', () => {
    const numbers = ups.map((file) => /^(\d{6})_[a-z0-9_]+\.up\.sql$/.exec(file)?.[1]);
    expect(numbers).not.toContain(undefined);
    expect(new Set(numbers).size).toBe(ups.length);
    expect(files.filter((file) => file.endsWith('.down.sql'))).toEqual(ups.map((up) => up.replace('.up.', '.down.')));
    expect(files).toHaveLength(ups.length * 2);
  });

  it('undo, each, exactly what they did, and can do it again', async () => {
    await withDatabase(false, async (_, client) => {
      const before = [await snapshot(client)];
      for (const up of ups) {
        await apply(client, up);
        before.push(await snapshot(client));
      }
      for (const [i, up] of [...ups.entries()].reverse()) {
        await apply(client, up.replace('.up.', '.down.'));
        expect([up, await snapshot(client)]).toEqual([up, before[i]]);
      }
      for (const up of ups) await apply(client, up);
      expect(await snapshot(client)).toEqual(before.at(-1));
    });
  });

  it('name every constraint and keep foreign keys off what will be spread by user', async () => {
    await withDatabase(true, async (_, client) => {
      const { rows } = await client.query<{ table: string; name: string; target: string }>(`
        SELECT conrelid::regclass::text AS table, conname AS name, confrelid::regclass::text AS target
        FROM pg_constraint WHERE contype = 'f' AND connamespace = 'public'::regnamespace`);
      const spread = ['users', 'user_keys', 'memberships', 'history', 'attribute_versions'];
      expect(rows.filter(({ table, target }) => spread.includes(table) && target !== 'segments')).toEqual([]);
      expect(rows.filter(({ target }) => spread.includes(target))).toEqual([]);
      const { rows: ids } = await client.query<{ column: string }>(`
        SELECT table_name || '.' || column_name AS column FROM information_schema.columns
        WHERE table_schema = 'public' AND column_name ~ '(^id|_id)$' AND data_type NOT IN ('bigint', 'uuid', 'text')`);
      expect(ids).toEqual([]);
    });
  });
});

describe('migrating', () => {
  it('brings an empty database to the newest version, and does nothing the second time', async () => {
    await withDatabase(false, async (url, client) => {
      expect(await migrate(url, SCHEMA)).toBe(newest);
      const after = await snapshot(client);
      expect(await migrate(url, SCHEMA)).toBe(newest);
      expect(await snapshot(client)).toEqual(after);
      const { rows } = await client.query('SELECT version::int, dirty FROM schema_migrations');
      expect(rows).toEqual([{ version: newest, dirty: false }]);
      expect(after).toContain('constraint schema_migrations schema_migrations_pkey PRIMARY KEY (version)');
    });
  });

  it('goes on from where golang-migrate left off', async () => {
    await withDatabase(false, async (url, client) => {
      await client.query(
        'CREATE TABLE schema_migrations (version bigint NOT NULL PRIMARY KEY, dirty boolean NOT NULL)',
      );
      await apply(client, ups[0] ?? '');
      await client.query('INSERT INTO schema_migrations VALUES (1, false)');
      expect(await migrate(url, SCHEMA)).toBe(newest);
    });
  });

  it.each([
    ['dirty', newest, true, /marked dirty at schema version/],
    ['newer', newest + 1, false, /at schema version .* knows only/],
    ['newer, numbered by the clock', 20_991_231_235_959, false, /at schema version 20991231235959.* knows only/],
  ])('refuses a database that is %s with one sentence, and leaves it alone', async (_, version, dirty, words) => {
    await withDatabase(true, async (url, client) => {
      await client.query('UPDATE schema_migrations SET version = $1, dirty = $2', [version, dirty]);
      const before = await snapshot(client);
      const refused = await migrate(url, SCHEMA).catch((error: unknown) => error);
      expect(refused).toBeInstanceOf(ConfigError);
      expect((refused as Error).message).toMatch(words);
      expect((refused as Error).message).not.toMatch(/\n/);
      expect(await snapshot(client)).toEqual(before);
    });
  });

  it('gives up a lock that is not to be had, with a sentence and without a trace', async () => {
    await withDatabase(false, async (url, client) => {
      await client.query('CREATE TABLE busy (id bigint)');
      const before = await snapshot(client);
      const folder = await temporaryFolder('schema');
      await cp(SCHEMA, folder, { recursive: true });
      await writeFile(join(folder, '999999_change.up.sql'), 'ALTER TABLE busy ADD COLUMN other bigint');
      await client.query('BEGIN; LOCK TABLE busy IN ACCESS SHARE MODE');
      const refused = await migrate(url, folder, { turnMs: 60_000, lockMs: 1 }).catch((error: unknown) => error);
      await client.query('ROLLBACK');
      await rm(folder, { recursive: true });
      expect(refused).toBeInstanceOf(ConfigError);
      expect((refused as Error).message).toMatch(/^Migrating waited .* Nothing was changed\./);
      expect(await snapshot(client)).toEqual(before);
    });
  });

  it('gives up its turn when another instance takes too long, with a sentence', async () => {
    await withDatabase(false, async (url, client) => {
      await client.query('BEGIN');
      await client.query('SELECT pg_advisory_xact_lock($1)', [advisoryLocks.migration]);
      const refused = await migrate(url, SCHEMA, { turnMs: 1, lockMs: 60_000 }).catch((error: unknown) => error);
      await client.query('ROLLBACK');
      expect(refused).toBeInstanceOf(ConfigError);
      expect((refused as Error).message).toMatch(/^Another instance has been migrating/);
    });
  });

  it('refuses a database in another encoding than UTF8, with a sentence and without a trace', async () => {
    await withDatabase(false, async (url, client) => {
      const latin = new URL(url);
      latin.pathname += '_latin';
      const name = latin.pathname.slice(1);
      await client.query(
        `CREATE DATABASE ${name} TEMPLATE template0 ENCODING 'LATIN1' LOCALE_PROVIDER libc LOCALE 'C'`,
      );
      const refused = await migrate(latin.href, SCHEMA).catch((error: unknown) => error);
      const left = new pg.Client(latin.href);
      await left.connect();
      const { rows } = await left.query("SELECT tablename FROM pg_tables WHERE schemaname = 'public'");
      await left.end();
      await client.query(`DROP DATABASE ${name}`);
      expect(refused).toBeInstanceOf(ConfigError);
      expect((refused as Error).message).toMatch(/^The database has the encoding LATIN1, but Kohort needs UTF8\./);
      expect(rows).toEqual([]);
    });
  });

  it('applies all or nothing', async () => {
    await withDatabase(false, async (url, client) => {
      const before = await snapshot(client);
      const folder = await temporaryFolder('schema');
      await cp(SCHEMA, folder, { recursive: true });
      await writeFile(join(folder, '999999_broken.up.sql'), 'CREATE TABLE half (id bigint); SELECT 1 / 0;');
      await expect(migrate(url, folder)).rejects.toThrow('division by zero');
      await rm(folder, { recursive: true });
      expect(await snapshot(client)).toEqual(before);
    });
  });

  it('happens once when eight instances start at once on an empty database, and makes one admin', async () => {
    await withDatabase(false, async (url, client) => {
      const services = await Promise.all(
        Array.from({ length: 8 }, () =>
          createService(
            {
              ...readConfig({ MODE: 'evaluation', DATABASE_URL: url, JWT_SECRET: SECRET, LOG_LEVEL: 'silent' }),
              jwtSecret: SECRET,
            },
            { connections: patientConnections },
          ),
        ),
      );
      try {
        const started = await Promise.all(services.map((service) => service.connect(url)));
        const drawn = started.flatMap(({ adminPassword }) => adminPassword ?? []);
        expect(drawn).toHaveLength(1);
        const { rows } = await client.query('SELECT user_id::int, username, role FROM accounts');
        expect(rows).toEqual([{ user_id: 1, username: 'admin', role: 'admin' }]);
        expect((await client.query('SELECT FROM schema_migrations')).rowCount).toBe(1);
        for (const { app } of services) {
          expect((await app.inject('/readyz')).statusCode).toBe(200);
          const { statusCode } = await app.inject({
            method: 'POST',
            url: '/auth/sign-in',
            payload: { username: 'admin', password: drawn[0] },
          });
          expect(statusCode).toBe(200);
        }
        const ids = await Promise.all(
          services.map(async ({ app }, i) =>
            (await app.inject({ method: 'POST', url: '/api/segments', payload: { slug: `S${i}` } })).json(),
          ),
        );
        expect(ids.map(({ id }) => id).sort()).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
      } finally {
        await Promise.all(services.map((service) => service.stop()));
      }
    });
  });

  it('leaves the password alone that it was given', async () => {
    await withDatabase(false, async (url) => {
      const service = await createService({
        ...readConfig({
          MODE: 'evaluation',
          DATABASE_URL: url,
          JWT_SECRET: SECRET,
          ADMIN_PASSWORD,
          LOG_LEVEL: 'silent',
        }),
        jwtSecret: SECRET,
      });
      expect(await service.connect(url)).toEqual({ adminPassword: undefined });
      await service.stop();
    });
  });
});
