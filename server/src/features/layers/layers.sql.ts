import sql from 'sql-template-tag';
import type { Db, Tx } from '../../postgres/database.ts';

export interface LayerRow {
  readonly id: number;
  readonly slug: string;
  readonly segments: readonly { readonly slug: string; readonly from: number; readonly to: number }[];
}

const columns = sql`l.id, l.slug, (
    SELECT coalesce(json_agg(json_build_object('slug', s.slug, 'from', s.layer_from, 'to', s.layer_to) ORDER BY s.layer_from), '[]')
    FROM segments s
    WHERE s.layer_id = l.id AND s.deleted_at IS NULL
  ) AS segments`;

/** Undefined if a live layer has the slug. */
export async function insertLayer(db: Db, { slug, salt }: { slug: string; salt: string }): Promise<number | undefined> {
  const rows = await db.write<{ id: number }>(sql`
    INSERT INTO layers (slug, salt)
    SELECT ${slug}, ${salt}
    WHERE NOT EXISTS (SELECT FROM layers l WHERE l.slug = ${slug} AND l.deleted_at IS NULL)
    ON CONFLICT (slug) WHERE deleted_at IS NULL DO NOTHING
    RETURNING id`);
  return rows[0]?.id;
}

export function selectLayers(db: Db, { after, limit }: { after: string; limit: number }): Promise<LayerRow[]> {
  return db.query<LayerRow>(sql`
    SELECT ${columns} FROM layers l
    WHERE l.deleted_at IS NULL AND l.slug > ${after}
    ORDER BY l.slug
    LIMIT ${limit}`);
}

export async function selectLayer(db: Db, slug: string): Promise<LayerRow | undefined> {
  const rows = await db.query<LayerRow>(sql`
    SELECT ${columns} FROM layers l WHERE l.slug = ${slug} AND l.deleted_at IS NULL`);
  return rows[0];
}

/** Fails on segments_layer_fkey while a live segment uses it. False if it is unknown. */
export async function markLayerDeleted(tx: Tx, slug: string): Promise<boolean> {
  const rows = await tx.write<{ id: number }>(sql`
    UPDATE layers l SET deleted_at = statement_timestamp() WHERE l.slug = ${slug} AND l.deleted_at IS NULL RETURNING l.id`);
  return rows.length > 0;
}
