import sql from 'sql-template-tag';
import type { Db } from '../../../postgres/database.ts';
import type { JsonObject } from '../../../segmentation/conditions/json.ts';
import type { MemberSql } from './member-rule.sql.ts';

export interface SampleRow {
  readonly id: number;
  readonly external_id: string | null;
  readonly name: string | null;
  readonly attributes: JsonObject;
  readonly created_at: Date;
}

export async function countMatches(db: Db, { joins, rule }: MemberSql): Promise<{ count: number; total: number }> {
  const rows = await db.query<{ count: number; total: number }>(sql`
    SELECT count(*) FILTER (WHERE ${rule}) AS count, count(*) AS total FROM users u ${joins(0)}`);
  return rows[0] ?? { count: 0, total: 0 };
}

/** Any few matching users: whichever are found first. */
export function sampleMatches(db: Db, { joins, rule }: MemberSql, limit: number): Promise<SampleRow[]> {
  return db.query<SampleRow>(sql`
    SELECT u.id, u.external_id, u.name, u.attributes, u.created_at FROM users u ${joins(0)} WHERE ${rule} LIMIT ${limit}`);
}

export function selectSample(db: Db, ids: readonly number[]): Promise<SampleRow[]> {
  return db.query<SampleRow>(sql`
    SELECT u.id, u.external_id, u.name, u.attributes, u.created_at
    FROM users u
    WHERE u.id = ANY(${ids}::bigint[])
    ORDER BY u.id`);
}
