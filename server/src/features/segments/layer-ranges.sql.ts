import sql from 'sql-template-tag';
import type { Db, Tx } from '../../postgres/database.ts';
import type { LayerRange } from './segment-rows.sql.ts';

/** The live layer of a slug. */
export async function selectLiveLayer(tx: Db, slug: string): Promise<{ id: number; salt: string } | undefined> {
  const rows = await tx.query<{ id: number; salt: string }>(sql`
    SELECT l.id, l.salt FROM layers l WHERE l.slug = ${slug} AND l.deleted_at IS NULL`);
  return rows[0];
}

/** The live segments, other than one, whose ranges overlap with a range of a layer. */
export function selectOverlapping(
  tx: Tx,
  { id, from, to }: LayerRange,
  exceptId: number | undefined,
): Promise<{ slug: string; from: number; to: number }[]> {
  return tx.query<{ slug: string; from: number; to: number }>(sql`
    SELECT s.slug, s.layer_from AS "from", s.layer_to AS "to"
    FROM segments s
    WHERE s.layer_id = ${id} AND s.deleted_at IS NULL AND s.layer_from < ${to}::numeric AND s.layer_to > ${from}::numeric
      AND s.id IS DISTINCT FROM ${exceptId ?? null}::bigint
    ORDER BY s.layer_from`);
}
