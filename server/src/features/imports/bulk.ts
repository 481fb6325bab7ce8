import sql from 'sql-template-tag';
import type { Tx } from '../../postgres/database.ts';

/** Below this number of rows, looking each one up is fastest. */
const fewRows = 2_000;
/** Looking up one row costs as much as scanning this many. */
const usersPerRow = 50;

interface Rows {
  readonly rows: number;
}

/**
 * For tables that are being filled. The planner has no statistics of them, and where it expects no rows it would scan the other
 * side of a join again and again.
 */
export async function joinByHash(tx: Tx, { rows }: Rows): Promise<void> {
  if (rows > fewRows) await tx.query({ text: 'SET LOCAL enable_nestloop = off', values: [] });
}

/** For joins of a whole file with all users. If the file names few of them, looking each one up is faster. */
export async function joinUsersByHash(tx: Tx, file: Rows): Promise<void> {
  const [found] = await tx.query<{ users: number }>(sql`
    SELECT c.reltuples::bigint AS users FROM pg_class c WHERE c.oid = 'users'::regclass`);
  if (file.rows * usersPerRow > (found?.users ?? 0)) await joinByHash(tx, file);
}

/**
 * On a distributed database: one connection to each worker, since what was read by several cannot be changed after it; and what
 * workers send may be as large as a file.
 */
export async function workOnWorkers(tx: Tx): Promise<void> {
  if (!tx.isDistributed) return;
  await tx.query({ text: "SET LOCAL citus.multi_shard_modify_mode = 'sequential'", values: [] });
  await tx.query({ text: 'SET LOCAL citus.max_intermediate_result_size = -1', values: [] });
}

export async function workInMemory(tx: Tx): Promise<void> {
  await tx.query({ text: "SET LOCAL work_mem = '128MB'", values: [] });
}
