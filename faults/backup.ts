import { readFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import type { Cluster } from '@kohort/testkit/cluster.ts';
import { run } from '@kohort/testkit/processes.ts';

const PAGE = join(import.meta.dirname, '../docs/operations.md');
const HEADING = '## Backup and restore';
/** The page's name for the database that a dump is restored into. */
export const RESTORED = 'kohort_restored';

/** Reads the commands from the page that documents them, so that the drill runs exactly these. */
async function documented(): Promise<{ dump: string; restore: string }> {
  const section = (await readFile(PAGE, 'utf8')).split(HEADING)[1] ?? '';
  const block = /```sh\n(.*?)```/s.exec(section)?.[1] ?? '';
  const [dump, ...restore] = block.trim().split('\n');
  if (!dump?.startsWith('pg_dump ') || restore.length === 0)
    throw new Error(`no commands under "${HEADING}" in ${PAGE}`);
  return { dump, restore: restore.join('\n') };
}

export interface Drill {
  readonly cluster: Cluster;
  /** Where the clients of PostgreSQL are. */
  readonly bin: string;
  /** Where the dump is written, as the page has it, into the current folder. */
  readonly folder: string;
}

/** Runs commands as in a terminal. The names that the page leaves open are in the environment. */
async function inShell({ cluster, bin, folder }: Drill, commands: string): Promise<void> {
  const { PATH = '' } = process.env;
  const env = {
    ...cluster.environment,
    PATH: [bin, PATH].join(delimiter),
    LC_ALL: 'C',
    DATABASE_URL: cluster.url,
    NEW_DATABASE_URL: cluster.urlOf(RESTORED),
  };
  await run('sh', ['-e', '-c', commands], { cwd: folder, env });
}

export async function dump(drill: Drill): Promise<void> {
  await inShell(drill, (await documented()).dump);
}

/** Restores the last dump into a new database, and renames that. */
export async function restore(drill: Drill, name: string): Promise<void> {
  await inShell(drill, (await documented()).restore);
  await drill.cluster.connected((client) => client.query(`ALTER DATABASE ${RESTORED} RENAME TO ${name}`), 'postgres');
}

/** The number of rows of every table, and a checksum of all of them. */
export async function fingerprint(cluster: Cluster, database: string): Promise<Map<string, string>> {
  return cluster.connected(async (client) => {
    const tables = await client.query<{ name: string }>(`
      SELECT format('%I.%I', n.nspname, c.relname) AS name
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE c.relkind IN ('r', 'p') AND n.nspname = 'public' ORDER BY 1`);
    const found = new Map<string, string>();
    for (const { name } of tables.rows) {
      const { rows } = await client.query<{ sum: string }>(
        `SELECT count(*) || ' ' || coalesce(md5(string_agg(t::text, E'\\n' ORDER BY t::text)), '') AS sum FROM ${name} t`,
      );
      found.set(name, rows[0]?.sum ?? '');
    }
    return found;
  }, database);
}

/** Sequences and identity columns whose next value is in use already. */
export async function collidingSequences(cluster: Cluster, database: string): Promise<string[]> {
  return cluster.connected(async (client) => {
    const { rows } = await client.query<{ sequence: string; name: string; column: string }>(`
      SELECT format('%I.%I', sn.nspname, s.relname) AS sequence, format('%I.%I', tn.nspname, t.relname) AS name, a.attname AS column
      FROM pg_depend d
        JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S' JOIN pg_namespace sn ON sn.oid = s.relnamespace
        JOIN pg_class t ON t.oid = d.refobjid JOIN pg_namespace tn ON tn.oid = t.relnamespace
        JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = d.refobjsubid
      WHERE d.classid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')`);
    const colliding: string[] = [];
    for (const { sequence, name, column } of rows) {
      const { rows: found } = await client.query<{ collides: boolean }>(`
        SELECT coalesce((SELECT max(${column}) FROM ${name}), 0) > CASE WHEN is_called THEN last_value ELSE last_value - 1 END AS collides
        FROM ${sequence}`);
      if (found[0]?.collides) colliding.push(`${sequence} of ${name}.${column}`);
    }
    return colliding;
  }, database);
}
