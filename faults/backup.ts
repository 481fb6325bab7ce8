import { join } from 'node:path';
import type { Cluster } from './cluster.ts';
import { run } from './processes.ts';

export interface Clients {
  readonly pg_dump: string;
  readonly pg_restore: string;
}

/** The documented pair, word for word but for the names. */
export async function dump({ pg_dump }: Clients, url: string, folder: string): Promise<string> {
  const file = join(folder, 'kohort.dump');
  await run(pg_dump, ['--format=custom', `--file=${file}`, url]);
  return file;
}

export async function restore(
  { pg_restore }: Clients,
  cluster: Cluster,
  database: string,
  file: string,
): Promise<void> {
  await cluster.connected(
    (client) => client.query(`CREATE DATABASE ${database} ENCODING 'UTF8' TEMPLATE template0`),
    'postgres',
  );
  await run(pg_restore, ['--no-owner', '--exit-on-error', `--dbname=${cluster.urlOf(database)}`, file]);
}

/** Of every table, the queue's too: how many rows, and a checksum of all of them. */
export async function fingerprint(cluster: Cluster, database: string): Promise<Map<string, string>> {
  return cluster.connected(async (client) => {
    const tables = await client.query<{ name: string }>(`
      SELECT format('%I.%I', n.nspname, c.relname) AS name
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE c.relkind IN ('r', 'p') AND n.nspname IN ('public', 'graphile_worker') ORDER BY 1`);
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

/** Sequences, and identity columns, whose next value is one that is there already. */
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
