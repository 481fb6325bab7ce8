import sql, { type Sql } from 'sql-template-tag';
import type { Tx } from '../../postgres/database.ts';

/**
 * Part of a statement on a distributed database, a table to select from: takes the turn of each user until the transaction
 * ends. Turns are advisory locks of the coordinator, in order of the ids, where row locks on several workers have no order.
 */
export function userTurns(ids: readonly number[]): Sql {
  return sql`(
    SELECT count(pg_advisory_xact_lock(hashtextextended('kohort user ' || i.id, 0))) AS turns
    FROM (SELECT DISTINCT a.id FROM unnest(${ids}::bigint[]) AS a(id) ORDER BY a.id) i
  )`;
}

export async function takeUserTurns(tx: Tx, ids: readonly number[]): Promise<void> {
  await tx.query(sql`SELECT t.turns FROM ${userTurns(ids)} t`);
}

/**
 * Locks the rows of users on a distributed database, and returns the ids of those that there are. Citus locks rows for a
 * reader on one worker alone; those of several are locked by a change that changes nothing.
 */
export async function lockRows(tx: Tx, ids: readonly number[]): Promise<Set<number>> {
  const [id] = ids;
  if (id === undefined) return new Set();
  const rows =
    ids.length === 1
      ? await tx.query<{ id: number }>(sql`SELECT u.id FROM users u WHERE u.id = ${id} FOR NO KEY UPDATE`)
      : await tx.write<{ id: number }>(sql`
          UPDATE users u SET attributes_version = u.attributes_version WHERE u.id = ANY(${ids}::bigint[]) RETURNING u.id`);
  return new Set(rows.map((row) => row.id));
}
