import sql from 'sql-template-tag';
import type { Db } from '../../postgres/database.ts';

/** The slugs among these whose live segments carry one of the tags. */
export async function selectSeenSlugs(db: Db, tags: readonly string[], slugs: readonly string[]): Promise<string[]> {
  const rows = await db.query<{ slug: string }>(sql`
    SELECT s.slug FROM segments s
    WHERE s.slug = ANY(${slugs}::text[]) AND s.deleted_at IS NULL AND s.tags && ${tags}::text[]`);
  return rows.map(({ slug }) => slug);
}

/** The slugs of all live segments that carry one of the tags. */
export async function selectAllSeenSlugs(db: Db, tags: readonly string[]): Promise<string[]> {
  const rows = await db.query<{ slug: string }>(sql`
    SELECT s.slug FROM segments s WHERE s.deleted_at IS NULL AND s.tags && ${tags}::text[]`);
  return rows.map(({ slug }) => slug);
}

/** The segments among these that carry one of the tags, or did when they were deleted. */
export async function selectSeenIds(db: Db, tags: readonly string[], ids: readonly number[]): Promise<number[]> {
  const rows = await db.query<{ id: number }>(sql`
    SELECT s.id FROM segments s WHERE s.id = ANY(${ids}::bigint[]) AND s.tags && ${tags}::text[]`);
  return rows.map(({ id }) => id);
}
