import sql, { raw } from 'sql-template-tag';
import { advisoryLocks } from '../advisory-locks.ts';
import type { DistributedTable } from './layout.ts';
import type { Client } from './obstacles.sql.ts';

/** Only for names from `layout.ts`, since a table name cannot be a parameter everywhere. */
const table = (name: string) => raw(`public.${name}`);

/** False while another session has the lock, or an instance is just checking it. */
export async function tryToStopWrites(client: Client): Promise<boolean> {
  const { rows } = await client.query<{ stopped: boolean }>(
    sql`SELECT pg_try_advisory_lock(${advisoryLocks.writing}) AS stopped`,
  );
  return rows[0]?.stopped === true;
}

export async function letWritesGoOn(client: Client): Promise<void> {
  await client.query(sql`SELECT pg_advisory_unlock(${advisoryLocks.writing})`);
}

/** How Citus has placed a table; undefined for one that it does not know. */
export async function selectPlacement(
  client: Client,
  name: string,
): Promise<{ readonly kind: string; readonly by: string | null } | undefined> {
  const { rows } = await client.query<{ kind: string; by: string | null }>(sql`
    SELECT CASE WHEN partmethod = 'h' THEN 'distributed' WHEN repmodel = 't' THEN 'reference' ELSE 'local' END AS kind,
      CASE WHEN partmethod = 'h' THEN column_to_column_name(logicalrelid, partkey) END AS by
    FROM pg_dist_partition WHERE logicalrelid = to_regclass(${`public.${name}`})`);
  return rows[0];
}

/** Waits for running writers, and blocks new ones. Readers continue. */
export async function lockAgainstWrites(client: Client, names: readonly string[]): Promise<void> {
  await client.query(sql`SELECT pg_advisory_xact_lock(${advisoryLocks.migration})`);
  await client.query(`LOCK TABLE ${names.map((name) => `public.${name}`).join(', ')} IN EXCLUSIVE MODE`);
}

/** Waits for readers too, and blocks new ones. */
export async function lockAgainstReads(client: Client, names: readonly string[]): Promise<void> {
  await client.query(`LOCK TABLE ${names.map((name) => `public.${name}`).join(', ')} IN ACCESS EXCLUSIVE MODE`);
}

export async function countRows(client: Client, { name }: Pick<DistributedTable, 'name'>): Promise<number> {
  const { rows } = await client.query<{ rows: number }>(sql`SELECT count(*)::float8 AS rows FROM ${table(name)}`);
  return rows[0]?.rows ?? 0;
}

/** Counts pairs whose membership is not the fold of their history. */
export async function countUnfolded(client: Client): Promise<number> {
  const { rows } = await client.query<{ pairs: number }>(sql`
    WITH last AS (SELECT DISTINCT ON (user_id, segment_id) user_id, segment_id, op, mode, expires_at FROM history ORDER BY user_id, segment_id, seq DESC)
    SELECT count(*)::float8 AS pairs
    FROM memberships m
    FULL JOIN (SELECT user_id, segment_id, op, mode, expires_at FROM last WHERE op IN ('add', 'update')) l USING (user_id, segment_id)
    WHERE m.user_id IS NULL OR l.op IS NULL OR m.mode <> l.mode OR m.expires_at IS DISTINCT FROM l.expires_at`);
  return rows[0]?.pairs ?? 0;
}

/** The largest value of an identity in any row. */
export async function selectLargest(client: Client, name: string, column: string): Promise<string | null> {
  const { rows } = await client.query<{ largest: string | null }>(
    sql`SELECT max(${raw(column)})::text AS largest FROM ${table(name)}`,
  );
  return rows[0]?.largest ?? null;
}

/** The state of the foreign key from memberships to segments: whether it exists, and is validated for existing rows. */
export async function selectSegmentKey(client: Client): Promise<'valid' | 'not_valid' | 'missing'> {
  const { rows } = await client.query<{ valid: boolean }>(sql`
    SELECT convalidated AS valid FROM pg_constraint
    WHERE conname = 'memberships_segment_fkey' AND conrelid = to_regclass('public.memberships')`);
  if (rows[0] === undefined) return 'missing';
  return rows[0].valid ? 'valid' : 'not_valid';
}

export async function dropSegmentKey(client: Client): Promise<void> {
  await client.query(sql`ALTER TABLE memberships DROP CONSTRAINT memberships_segment_fkey`);
}

/** Applies only to rows that are written from now on. {@link validateSegmentKey} checks existing rows, beside readers and writers. */
export async function addSegmentKey(client: Client): Promise<void> {
  await client.query(sql`
    ALTER TABLE memberships ADD CONSTRAINT memberships_segment_fkey FOREIGN KEY (segment_id) REFERENCES segments NOT VALID`);
}

export async function validateSegmentKey(client: Client): Promise<void> {
  await client.query(sql`ALTER TABLE memberships VALIDATE CONSTRAINT memberships_segment_fkey`);
}

/** The bytes that a table still occupies on the coordinator, where its rows were before they went to the shards. */
export async function selectLeftoverBytes(client: Client, name: string): Promise<number> {
  const { rows } = await client.query<{ bytes: number }>(
    sql`SELECT pg_relation_size(${`public.${name}`}::text::regclass)::float8 AS bytes`,
  );
  return rows[0]?.bytes ?? 0;
}

/** Cascades to the leftovers of tables that refer to it; the rows in shards stay. */
export async function truncateLeftovers(client: Client, name: string): Promise<void> {
  await client.query(sql`SELECT truncate_local_data_after_distributing_table(${`public.${name}`}::text::regclass)`);
}

/** Updates the statistics, and the visibility map, with which the fast path uses index-only scans. */
export async function vacuum(client: Client, name: string): Promise<void> {
  await client.query(`VACUUM (ANALYZE) public.${name}`);
}
