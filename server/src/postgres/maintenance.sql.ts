import sql from 'sql-template-tag';
import type { Db } from './database.ts';

/** The tables that have at least doubled since their statistics were gathered, or have none. */
async function selectGrown(db: Db, tables: readonly string[]): Promise<string[]> {
  const rows = await db.query<{ name: string }>(sql`
    SELECT c.oid::regclass::text AS name FROM pg_class c
    WHERE c.oid = ANY(${tables}::regclass[])
      AND (c.reltuples < 0
        OR pg_relation_size(c.oid) > 2 * c.relpages * current_setting('block_size')::bigint)`);
  return rows.map(({ name }) => name);
}

/**
 * Gathers statistics of tables that have grown, which also makes every connection replan. Skips a table whose maintenance lock
 * is taken: it is already being analyzed, vacuumed or rebuilt, and this must not wait inside a transaction.
 */
export async function analyzeGrown(db: Db, tables: readonly string[]): Promise<void> {
  // What Citus knows of a distributed table is not in its catalog; each worker analyzes its shards itself.
  if (db.isDistributed) return;
  const grown = await selectGrown(db, tables);
  if (grown.length > 0) await db.query({ text: `ANALYZE (SKIP_LOCKED) ${grown.join(', ')}`, values: [] });
}

export interface Bloat {
  /** Smaller index files are ignored. */
  readonly minBytes: number;
  /** Indexes that use less than this for each row of their table are ignored. */
  readonly bytesPerRow: number;
}

/** What is read of indexes, on a connection of its own. */
type IndexDb = Pick<Db, 'query' | 'isDistributed'>;

/** The indexes of a table that are far larger than its rows need. */
export async function selectBloatedIndexes(db: IndexDb, table: string, bloat: Bloat): Promise<string[]> {
  if (db.isDistributed) return selectBloatedOnWorkers(db, table, bloat);
  const { minBytes, bytesPerRow } = bloat;
  const rows = await db.query<{ name: string }>(sql`
    SELECT i.indexrelid::regclass::text AS name
    FROM pg_index i JOIN pg_class t ON t.oid = i.indrelid
    WHERE i.indrelid = ${table}::regclass AND i.indisvalid
      AND pg_relation_size(i.indexrelid) > greatest(${minBytes}::float8, ${bytesPerRow}::float8 * greatest(t.reltuples, 0))
    ORDER BY i.indexrelid`);
  return rows.map(({ name }) => name);
}

/** The index of each shard has the name of the whole one, and the shard's number. */
async function selectBloatedOnWorkers(db: IndexDb, table: string, { minBytes, bytesPerRow }: Bloat): Promise<string[]> {
  const rows = await db.query<{ name: string }>(sql`
    SELECT left(i.name, -length('_' || r.shardid)) AS name
    FROM run_command_on_shards(${table}, $$
      SELECT json_agg(json_build_object(
        'name', c.relname, 'bytes', pg_relation_size(i.indexrelid), 'rows', greatest(t.reltuples, 0)))
      FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid
      WHERE i.indrelid = '%s'::regclass AND i.indisvalid
    $$) r CROSS JOIN LATERAL json_to_recordset(nullif(r.result, '')::json) AS i(name text, bytes float8, rows float8)
    WHERE r.success
    GROUP BY 1
    HAVING sum(i.bytes) > greatest(${minBytes}::float8, ${bytesPerRow}::float8 * sum(i.rows))
    ORDER BY 1`);
  return rows.map(({ name }) => name);
}

/** Drops indexes left behind by an aborted rebuild: they serve no query, and every write maintains them. */
export async function dropUnfinishedRebuilds(db: IndexDb, table: string): Promise<void> {
  const drop = (name: string) => `DROP INDEX CONCURRENTLY IF EXISTS ${name}`;
  if (!db.isDistributed) {
    for (const name of await selectUnfinishedRebuilds(db, table)) await db.query({ text: drop(name), values: [] });
    return;
  }
  for (const name of await selectUnfinishedOnWorkers(db, table)) {
    // Where a node does not have it, nothing is done.
    await db.query(sql`SELECT FROM run_command_on_workers(${drop(name)})`);
  }
}

async function selectUnfinishedOnWorkers(db: IndexDb, table: string): Promise<string[]> {
  const rows = await db.query<{ name: string }>(sql`
    SELECT DISTINCT i.name
    FROM run_command_on_shards(${table}, $$
      SELECT json_agg(i.indexrelid::regclass::text)
      FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
      WHERE i.indrelid = '%s'::regclass AND NOT i.indisvalid AND c.relname ~ '_cc(new|old)[0-9]*$'
    $$) r CROSS JOIN LATERAL json_array_elements_text(nullif(r.result, '')::json) AS i(name)
    WHERE r.success`);
  return rows.map(({ name }) => name);
}

async function selectUnfinishedRebuilds(db: IndexDb, table: string): Promise<string[]> {
  const rows = await db.query<{ name: string }>(sql`
    SELECT i.indexrelid::regclass::text AS name
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
    WHERE i.indrelid = ${table}::regclass AND NOT i.indisvalid AND c.relname ~ '_cc(new|old)[0-9]*$'`);
  return rows.map(({ name }) => name);
}
