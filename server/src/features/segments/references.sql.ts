import sql from 'sql-template-tag';
import type { Db, Tx } from '../../postgres/database.ts';

/** Returns whether the segment names more others than before. */
export async function replaceReferences(tx: Tx, id: number, referenced: readonly number[]): Promise<boolean> {
  const before = await tx.write(
    sql`DELETE FROM segment_references r WHERE r.segment_id = ${id} RETURNING r.referenced_id`,
  );
  await tx.write(sql`
    INSERT INTO segment_references (segment_id, referenced_id)
    SELECT ${id}::bigint, r.id FROM unnest(${referenced}::bigint[]) AS r(id)`);
  return referenced.length > before.length;
}

/** The `ids` whose conditions depend on segment `id`, directly or indirectly; a segment depends on itself. */
export async function selectDependents(tx: Tx, id: number, ids: readonly number[]): Promise<number[]> {
  const rows = await tx.query<{ id: number }>(sql`
    WITH RECURSIVE dependents (id) AS (
      SELECT ${id}::bigint
      UNION
      SELECT r.segment_id FROM dependents d JOIN segment_references r ON r.referenced_id = d.id
    )
    SELECT d.id FROM dependents d WHERE d.id = ANY(${ids}::bigint[])`);
  return rows.map((row) => row.id);
}

export async function selectUsedBy(db: Db, id: number): Promise<string[]> {
  const rows = await db.query<{ slug: string }>(sql`
    SELECT s.slug FROM segment_references r JOIN segments s ON s.id = r.segment_id
    WHERE r.referenced_id = ${id}
    ORDER BY s.slug`);
  return rows.map(({ slug }) => slug);
}
