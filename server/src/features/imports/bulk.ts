import sql from 'sql-template-tag';
import type { Tx } from '../../postgres/database.ts';

/** For fewer rows than this, looking each one up is quickest. */
const fewRows = 2_000;
/** Looking up one row in so many takes as long as scanning all of them. */
const usersPerRow = 50;

interface Rows {
  readonly rows: number;
}

/**
 * For tables that are only just filling. What the planner knows of them is nothing, and where it expects nobody it would go
 * through the other side of a join again and again.
 */
export async function joinByHash(tx: Tx, { rows }: Rows): Promise<void> {
  if (rows > fewRows) await tx.query({ text: 'SET LOCAL enable_nestloop = off', values: [] });
}

/** For joins of a whole file with all users: of a file that names few of them, each is better looked up. */
export async function joinUsersByHash(tx: Tx, file: Rows): Promise<void> {
  const [found] = await tx.query<{ users: number }>(sql`
    SELECT c.reltuples::bigint AS users FROM pg_class c WHERE c.oid = 'users'::regclass`);
  if (file.rows * usersPerRow > (found?.users ?? 0)) await joinByHash(tx, file);
}

export async function workInMemory(tx: Tx): Promise<void> {
  await tx.query({ text: "SET LOCAL work_mem = '128MB'", values: [] });
}
