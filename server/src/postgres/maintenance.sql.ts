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
  const grown = await selectGrown(db, tables);
  if (grown.length > 0) await db.query({ text: `ANALYZE (SKIP_LOCKED) ${grown.join(', ')}`, values: [] });
}

export interface Bloat {
  /** Smaller index files are ignored. */
  readonly minBytes: number;
  /** Indexes that use less than this for each row of their table are ignored. */
  readonly bytesPerRow: number;
}

/** The indexes of a table that are far larger than its rows need. */
export async function selectBloatedIndexes(
  db: Pick<Db, 'query'>,
  table: string,
  { minBytes, bytesPerRow }: Bloat,
): Promise<string[]> {
  const rows = await db.query<{ name: string }>(sql`
    SELECT i.indexrelid::regclass::text AS name
    FROM pg_index i JOIN pg_class t ON t.oid = i.indrelid
    WHERE i.indrelid = ${table}::regclass AND i.indisvalid
      AND pg_relation_size(i.indexrelid) > greatest(${minBytes}::float8, ${bytesPerRow}::float8 * greatest(t.reltuples, 0))
    ORDER BY i.indexrelid`);
  return rows.map(({ name }) => name);
}

/** Indexes left behind by an aborted rebuild: they serve no query, and every write maintains them. */
export async function selectUnfinishedRebuilds(db: Pick<Db, 'query'>, table: string): Promise<string[]> {
  const rows = await db.query<{ name: string }>(sql`
    SELECT i.indexrelid::regclass::text AS name
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
    WHERE i.indrelid = ${table}::regclass AND NOT i.indisvalid AND c.relname ~ '_cc(new|old)[0-9]*$'`);
  return rows.map(({ name }) => name);
}
