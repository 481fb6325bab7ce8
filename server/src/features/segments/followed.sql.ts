import sql, { type Sql } from 'sql-template-tag';
import type { Tx } from '../../postgres/database.ts';

/** The followed segments, and those that their conditions name, directly or indirectly. */
const reached = sql`
  WITH RECURSIVE reached (id) AS (
    SELECT f.segment_id FROM feed_segments f WHERE NOT f.is_forgotten
    UNION
    SELECT r.referenced_id FROM reached JOIN segment_references r ON r.segment_id = reached.id
  )`;

/**
 * Marks the segments whose changes of members must be recorded for feeds. Writers of memberships read the marks from the rows
 * that they lock. True if a segment was newly marked.
 */
export async function markFollowed(tx: Tx): Promise<boolean> {
  if (tx.isDistributed)
    return markSegments(tx, true, sql`NOT s.followed AND s.id = ANY(${await selectReached(tx)}::bigint[])`);
  const rows = await tx.write(sql`
    ${reached}, missing AS MATERIALIZED (
      SELECT s.id FROM segments s WHERE NOT s.followed AND s.id IN (SELECT r.id FROM reached r) ORDER BY s.id FOR NO KEY UPDATE
    )
    UPDATE segments s SET followed = true FROM missing m WHERE s.id = m.id
    RETURNING s.id`);
  return rows.length > 0;
}

/** Clears marks that are no longer needed. The transaction holds the lock on definitions: a concurrent new reference may need a mark. */
export async function unmarkFollowed(tx: Tx): Promise<void> {
  if (tx.isDistributed) {
    await markSegments(tx, false, sql`s.followed AND s.id <> ALL(${await selectReached(tx)}::bigint[])`);
    return;
  }
  await tx.write(sql`
    ${reached}, needless AS MATERIALIZED (
      SELECT s.id FROM segments s WHERE s.followed AND s.id NOT IN (SELECT r.id FROM reached r) ORDER BY s.id FOR NO KEY UPDATE
    )
    UPDATE segments s SET followed = false FROM needless n WHERE s.id = n.id`);
}

/** Citus recurses on the coordinator's own tables alone, and gives writers of a reference table their turns itself. */
async function markSegments(tx: Tx, followed: boolean, which: Sql): Promise<boolean> {
  const rows = await tx.write(sql`UPDATE segments s SET followed = ${followed} WHERE ${which} RETURNING s.id`);
  return rows.length > 0;
}

async function selectReached(tx: Tx): Promise<number[]> {
  const rows = await tx.query<{ id: number }>(sql`${reached} SELECT r.id FROM reached r`);
  return rows.map(({ id }) => id);
}
