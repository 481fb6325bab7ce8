import type pg from 'pg';
import sql from 'sql-template-tag';

export type Client = Pick<pg.ClientBase, 'query'>;

/** The version of the extension, such as `13.2-1`; undefined without it. */
export async function selectCitusVersion(client: Client): Promise<string | undefined> {
  const { rows } = await client.query<{ version: string }>(
    sql`SELECT extversion AS version FROM pg_extension WHERE extname = 'citus'`,
  );
  return rows[0]?.version;
}

export interface ClusterNode {
  readonly name: string;
  /** 0 is the coordinator's. */
  readonly group: number;
  readonly isActive: boolean;
  readonly takesShards: boolean;
}

export async function selectNodes(client: Client): Promise<ClusterNode[]> {
  const { rows } = await client.query<ClusterNode>(sql`
    SELECT nodename || ':' || nodeport AS name, groupid AS "group", isactive AS "isActive", shouldhaveshards AS "takesShards"
    FROM pg_dist_node WHERE noderole = 'primary' ORDER BY groupid`);
  return rows;
}

/** Pairs of nodes of which one cannot reach the other. */
export async function selectBrokenConnections(client: Client): Promise<string[]> {
  const { rows } = await client.query<{ pair: string }>(sql`
    SELECT from_nodename || ':' || from_nodeport || ' does not reach ' || to_nodename || ':' || to_nodeport AS pair
    FROM citus_check_cluster_node_health() WHERE result IS NOT true`);
  return rows.map(({ pair }) => pair);
}

export interface NodeSetting {
  readonly node: string;
  /** Null if the server has no such setting. */
  readonly value: string | null;
}

/** The value of a setting on each node, including the coordinator. */
export async function selectSetting(client: Client, name: string): Promise<NodeSetting[]> {
  const { rows } = await client.query<NodeSetting>(sql`
    SELECT n.nodename || ':' || n.nodeport AS node, nullif(r.result, '') AS value
    FROM run_command_on_all_nodes(format('SELECT current_setting(%L, true)', ${name}::text)) r
    JOIN pg_dist_node n USING (nodeid) ORDER BY n.groupid`);
  return rows;
}

/** The version of the schema; undefined if the database has no schema of this service. */
export async function selectSchemaVersion(
  client: Client,
): Promise<{ readonly version: number; readonly dirty: boolean } | undefined> {
  const { rows: tables } = await client.query(sql`SELECT WHERE to_regclass('schema_migrations') IS NOT NULL`);
  if (tables.length === 0) return undefined;
  const { rows } = await client.query<{ version: number; dirty: boolean }>(
    sql`SELECT version::float8 AS version, dirty FROM schema_migrations`,
  );
  return rows[0];
}

/** Jobs of callers that have not ended. */
export async function selectOpenJobs(client: Client): Promise<{ readonly id: string; readonly kind: string }[]> {
  const { rows } = await client.query<{ id: string; kind: string }>(
    sql`SELECT id::text AS id, kind FROM jobs WHERE finished_at IS NULL AND NOT internal ORDER BY id LIMIT 5`,
  );
  return rows;
}
