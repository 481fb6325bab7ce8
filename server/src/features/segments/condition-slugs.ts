import type { Db } from '../../postgres/database.ts';
import type { JsonObject } from '../../segmentation/conditions/json.ts';
import { toWire } from '../../segmentation/conditions/references.ts';
import { selectSlugs } from './segments.sql.ts';

/** Replaces ids in conditions by the current slugs, with one look-up for all. */
export async function namesResolved<T extends { readonly condition: JsonObject | null }>(
  db: Db,
  rows: readonly T[],
): Promise<T[]> {
  const ids = new Set<number>();
  const collect = (id: number) => {
    ids.add(id);
    return '';
  };
  for (const { condition } of rows) if (condition) toWire(condition, collect);
  if (ids.size === 0) return [...rows];
  const slugs = new Map((await selectSlugs(db, [...ids])).map(({ id, slug }) => [id, slug]));
  return rows.map((row) => ({
    ...row,
    condition: row.condition && toWire(row.condition, (id) => slugs.get(id)),
  }));
}

export async function nameResolved<T extends { readonly condition: JsonObject | null }>(db: Db, row: T): Promise<T> {
  return (await namesResolved(db, [row]))[0] ?? row;
}
