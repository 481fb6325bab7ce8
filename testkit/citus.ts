import { join } from 'node:path';
import { distributeTables } from '../server/src/postgres/citus/distribute-tables.ts';
import { migrate } from '../server/src/postgres/migrate.ts';
import { fill, keepFilled, removeFilled } from './citus-fill.ts';
import { connected, onEachNode } from './nodes.ts';

/** Why tests of Citus are skipped. */
export const withoutCitus = 'no suite ran on Citus, since TEST_CITUS_URL is not set';

interface Node {
  readonly host: string;
  readonly port: number;
}

export interface CitusCluster {
  readonly coordinator: Node;
  readonly workers: readonly Node[];
  /** The addresses of the coordinator and of each worker, in this order. */
  readonly urls: readonly string[];
}

function urlOf(url: string, { host, port }: Node): string {
  const own = new URL(url);
  own.hostname = host;
  own.port = String(port);
  return own.href;
}

function databaseOf(url: string, name: string): string {
  const own = new URL(url);
  own.pathname = `/${name}`;
  return own.href;
}

/** The nodes that the database at `url` knows. @throws when it is on no coordinator with workers. */
export async function findCluster(url: string): Promise<CitusCluster> {
  const rows = await connected(url, async (client) => {
    const { rowCount } = await client.query("SELECT FROM pg_extension WHERE extname = 'citus'");
    if (rowCount === 0) throw new Error('TEST_CITUS_URL names a database without the extension citus');
    return (
      await client.query<Node & { group: number }>(`
        SELECT nodename AS host, nodeport AS port, groupid AS "group" FROM pg_dist_node WHERE noderole = 'primary' ORDER BY groupid`)
    ).rows;
  });
  const workers = rows.filter(({ group }) => group !== 0);
  if (workers.length === 0) throw new Error('TEST_CITUS_URL names a database that knows no worker');
  const { hostname, port } = new URL(url);
  const coordinator = rows.find(({ group }) => group === 0) ?? { host: hostname, port: Number(port || 5432) };
  return { coordinator, workers, urls: [url, ...workers.map((worker) => urlOf(url, worker))] };
}

/** Set explicitly, since the cluster may have been created with C, which maps no case outside ASCII. */
const locale = "LOCALE 'C.UTF-8' TEMPLATE template0";

async function createCitusDatabase({ coordinator, workers, urls }: CitusCluster, name: string): Promise<string> {
  await onEachNode(urls, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`, `CREATE DATABASE ${name} ${locale}`);
  const own = urls.map((url) => databaseOf(url, name));
  await onEachNode(own, 'CREATE EXTENSION citus');
  const [url = ''] = own;
  await connected(url, async (client) => {
    await client.query('SELECT citus_set_coordinator_host($1, $2)', [coordinator.host, coordinator.port]);
    for (const { host, port } of workers) await client.query('SELECT citus_add_node($1, $2)', [host, port]);
  });
  return url;
}

/**
 * Makes a template of a database: a copy of it on each node is a distributed database again, since the metadata name nodes and
 * shards, but no database. Nothing may be connected to a template, not even the daemon that Citus keeps in every database.
 */
async function closeForCopies({ urls }: CitusCluster, name: string): Promise<void> {
  await onEachNode(
    urls,
    `ALTER DATABASE ${name} WITH ALLOW_CONNECTIONS false`,
    `SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '${name}'`,
  );
}

/** The templates of databases on Citus: with the distributed schema, or with nothing but the extension and the nodes. */
export interface CitusTemplates {
  readonly distributed: string;
  readonly empty: string;
  drop(): Promise<void>;
}

/** `filled`: the tables held users, memberships and history when they were distributed. These were removed again. */
export async function createCitusTemplates(
  cluster: CitusCluster,
  { name, filled }: { readonly name: string; readonly filled: boolean },
): Promise<CitusTemplates> {
  const [empty, distributed] = [`${name}_empty`, `${name}_distributed`];
  await createCitusDatabase(cluster, empty);
  await closeForCopies(cluster, empty);
  const url = await createCitusDatabase(cluster, distributed);
  await migrate(url, join(import.meta.dirname, '../schema'));
  await connected(url, async (client) => {
    if (filled) await fill(client);
    await (filled ? keepFilled(client, () => distributeTables(client)) : distributeTables(client));
    if (filled) await removeFilled(client);
  });
  await closeForCopies(cluster, distributed);
  return {
    distributed,
    empty,
    drop: () => onEachNode(cluster.urls, `DROP DATABASE ${distributed}`, `DROP DATABASE ${empty}`),
  };
}
