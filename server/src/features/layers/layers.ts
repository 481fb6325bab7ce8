import { randomBytes } from 'node:crypto';
import { Problem } from '@kohort/contract';
import { type Cursors, pageOf } from '../../paging/cursors.ts';
import type { Database, Db } from '../../postgres/database.ts';
import { violatedConstraint } from '../../postgres/errors.ts';
import { insertLayer, type LayerRow, markLayerDeleted, selectLayer, selectLayers } from './layers.sql.ts';

export interface LayersContext {
  readonly db: Database;
  readonly cursors: Cursors;
}

function unknownLayer(slug: string): Problem {
  return new Problem('layer_unknown', `There is no layer ${slug}.`);
}

export async function createLayer(db: Db, slug: string): Promise<{ id: number }> {
  const id = await insertLayer(db, { slug, salt: randomBytes(16).toString('hex') });
  if (id === undefined) throw new Problem('slug_taken', `A layer with the slug ${slug} exists.`);
  return { id };
}

export async function listLayers(
  { db, cursors }: LayersContext,
  { limit = 100, cursor }: { limit?: number; cursor?: string },
): Promise<{ layers: LayerRow[]; next_cursor: string | null }> {
  const [after] = cursor === undefined ? [''] : cursors.decode('layers', cursor);
  const found = await selectLayers(db, { after: String(after), limit: limit + 1 });
  const { rows, next_cursor } = pageOf(found, limit, (last) => cursors.encode('layers', [last.slug]));
  return { layers: rows, next_cursor };
}

export async function readLayer(db: Db, slug: string): Promise<LayerRow> {
  const layer = await selectLayer(db, slug);
  if (!layer) throw unknownLayer(slug);
  return layer;
}

/** A layer in use cannot be deleted: the foreign key refuses, in either order of the transactions. */
export async function deleteLayer({ db }: Pick<LayersContext, 'db'>, slug: string): Promise<void> {
  try {
    await db.transaction(async (tx) => {
      if (!(await markLayerDeleted(tx, slug))) throw unknownLayer(slug);
    });
  } catch (error) {
    if (violatedConstraint(error) !== 'segments_layer_fkey') throw error;
    const { segments } = await readLayer(db, slug);
    throw new Problem('layer_used', `The layer ${slug} is used by ${segments.map((one) => one.slug).join(', ')}.`);
  }
}
