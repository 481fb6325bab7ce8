import sql from 'sql-template-tag';
import type { Db } from '../../../postgres/database.ts';
import type { JsonObject } from '../../../segmentation/conditions/json.ts';
import { type MemberSql, within } from './member-rule.sql.ts';
import type { Slice } from './slices.ts';

export interface SampleRow {
  readonly id: number;
  readonly external_id: string | null;
  readonly name: string | null;
  readonly attributes: JsonObject;
  readonly created_at: Date;
}

/** Counted apart, since only for those who match could an index be of use. */
export async function countMatches(
  db: Db,
  { joins, filter }: MemberSql,
  slice: Slice,
): Promise<{ count: number; total: number }> {
  const rows = await db.query<{ count: number; total: number }>(sql`
    SELECT m.count, t.total
    FROM (SELECT count(*) AS count FROM users u ${joins(slice)} WHERE ${within(sql`u.id`, slice)} AND ${filter}) m,
      (SELECT count(*) AS total FROM users u WHERE ${within(sql`u.id`, slice)}) t`);
  return rows[0] ?? { count: 0, total: 0 };
}

/** A few matching users: those found first, since an order would forbid the index that finds them. */
export function sampleMatches(
  db: Db,
  { joins, filter }: MemberSql,
  { limit, ...slice }: Slice & { readonly limit: number },
): Promise<SampleRow[]> {
  return db.query<SampleRow>(sql`
    SELECT u.id, u.external_id, u.name, u.attributes, u.created_at
    FROM users u ${joins(slice)}
    WHERE ${within(sql`u.id`, slice)} AND ${filter}
    LIMIT ${limit}`);
}

/** Samples are shown by id, whichever users they hold. */
export const byId = (sample: readonly SampleRow[]): SampleRow[] => sample.toSorted((a, b) => a.id - b.id);

export function selectSample(db: Db, ids: readonly number[]): Promise<SampleRow[]> {
  return db.query<SampleRow>(sql`
    SELECT u.id, u.external_id, u.name, u.attributes, u.created_at
    FROM users u
    WHERE u.id = ANY(${ids}::bigint[])
    ORDER BY u.id`);
}
