import { mkdir, statfs } from 'node:fs/promises';
import { totalmem } from 'node:os';
import { startEmbedded } from '@kohort/embedded/start.ts';
import { connected as connectedTo } from '@kohort/testkit/nodes.ts';
import { statOf } from '@kohort/testkit/proc.ts';
import { atEnd } from '@kohort/testkit/processes.ts';
import type pg from 'pg';

export interface Postgres {
  readonly version: string;
  /** Undefined where the server runs on another machine. */
  readonly postmaster: number | undefined;
  urlOf(database: string): string;
  /** Runs `work` on a connection of its own. */
  connected<T>(database: string | undefined, work: (client: pg.Client) => Promise<T>): Promise<T>;
  /** The processes behind connections of that application to that database. */
  backendsOf(application: string, database: string): Promise<Set<number>>;
  exists(database: string): Promise<boolean>;
  create(database: string, template?: string): Promise<void>;
  drop(database: string): Promise<void>;
  /** Makes sure that no run pays for the writes of the one before it. */
  checkpoint(): Promise<void>;
}

/** Settings for a machine that PostgreSQL shares with the service. Durability stays on, as in PostgreSQL's defaults. */
function settingsOf(memory: number): Record<string, string> {
  const mebibytes = Math.max(128, Math.min(8_192, Math.floor(memory / 4 / 2 ** 20)));
  return {
    shared_buffers: `${mebibytes}MB`,
    maintenance_work_mem: '512MB',
    max_connections: '200',
    max_wal_size: '8GB',
    checkpoint_timeout: '30min',
  };
}

export async function startPostgres(folder: string, databaseUrl: string | undefined): Promise<Postgres> {
  let base = databaseUrl;
  if (base === undefined) {
    await mkdir(folder, { recursive: true });
    const starting = startEmbedded({ folder, settings: settingsOf(totalmem()) });
    // Even if a signal arrives while it is still starting.
    atEnd(async () => (await starting.catch(() => undefined))?.stop());
    base = (await starting).url;
  }

  const urlOf = (database: string) => {
    const url = new URL(base);
    url.pathname = `/${database}`;
    return url.href;
  };

  const connected = <T>(database: string | undefined, work: (client: pg.Client) => Promise<T>): Promise<T> =>
    connectedTo(database === undefined ? base : urlOf(database), work, { application_name: 'bench' });

  const administer = (text: string) => connected(undefined, (client) => client.query(text));

  return {
    ...(await connected(undefined, look)),
    urlOf,
    connected,
    exists: (database) =>
      connected(undefined, async (client) => {
        const { rowCount } = await client.query('SELECT FROM pg_database WHERE datname = $1', [database]);
        return rowCount === 1;
      }),
    async create(database, template = 'template1') {
      await administer(`CREATE DATABASE ${database} TEMPLATE ${template}`);
    },
    async drop(database) {
      await administer(`DROP DATABASE IF EXISTS ${database} WITH (FORCE)`);
    },
    backendsOf: (application, database) =>
      connected(undefined, async (client) => {
        const { rows } = await client.query<{ pid: number }>(
          'SELECT pid FROM pg_stat_activity WHERE application_name = $1 AND datname = $2',
          [application, database],
        );
        return new Set(rows.map(({ pid }) => pid));
      }),
    async checkpoint() {
      // Not every role may do that.
      await administer('CHECKPOINT').catch(() => undefined);
    },
  };
}

async function look(client: pg.Client): Promise<{ version: string; postmaster: number | undefined }> {
  const { rows } = await client.query<{ version: string; pid: number; local: boolean }>(`
    SELECT current_setting('server_version') AS version, pg_backend_pid() AS pid,
      inet_server_addr() IS NULL OR inet_server_addr() <<= '127.0.0.0/8' OR inet_server_addr() = '::1' AS local`);
  const [row] = rows;
  return { version: row?.version ?? 'unknown', postmaster: row?.local ? (await statOf(row.pid))?.parent : undefined };
}

/** Bytes that are free where the folder is. */
export async function freeSpace(folder: string): Promise<number> {
  const { bavail, bsize } = await statfs(folder);
  return bavail * bsize;
}
