import sql, { join, type Sql } from 'sql-template-tag';
import type { Db } from '../../../postgres/database.ts';
import { stands } from '../stands.sql.ts';
import type { SetsSql } from './member-rule.sql.ts';
import type { SampleRow } from './preview.sql.ts';

/** How many users are in exactly the sets whose bits are set; users in none count under 0. */
export type MaskCounts = ReadonlyMap<number, number>;

interface MaskRow {
  readonly mask: number;
  readonly count: number;
}

const countsOf = (rows: readonly MaskRow[]): MaskCounts => new Map(rows.map(({ mask, count }) => [mask, count]));

export async function countSets(db: Db, { joins, sets }: SetsSql): Promise<MaskCounts> {
  const bits = sets.map((set, i) => sql`CASE WHEN ${set} THEN ${1 << i}::int ELSE 0 END`);
  const rows = await db.query<MaskRow>(sql`
    SELECT x.mask, count(*) AS count
    FROM (SELECT ${join(bits, ' + ')} AS mask FROM users u ${joins} OFFSET 0) x
    GROUP BY x.mask`);
  return countsOf(rows);
}

/** The same for plain lists, for which only memberships are read; users in none of the lists are not counted. */
export async function countLists(db: Db, segmentIds: readonly number[]): Promise<MaskCounts> {
  const rows = await db.query<MaskRow>(sql`
    SELECT x.mask, count(*) AS count
    FROM (
      SELECT bit_or(1 << (array_position(${segmentIds}::bigint[], m.segment_id) - 1)) AS mask
      FROM memberships m
      WHERE m.segment_id = ANY(${segmentIds}::bigint[]) AND m.mode = 'include' AND ${stands(sql`m`)}
      GROUP BY m.user_id
    ) x
    GROUP BY x.mask`);
  return countsOf(rows);
}

/** Any few users in one set and not in the other: whichever are found first. */
export function sampleDifference(
  db: Db,
  joins: Sql,
  { inside, outside }: { inside: Sql; outside: Sql },
  limit: number,
): Promise<SampleRow[]> {
  return db.query<SampleRow>(sql`
    SELECT u.id, u.external_id, u.name, u.attributes, u.created_at
    FROM users u ${joins} WHERE (${inside}) AND NOT (${outside}) LIMIT ${limit}`);
}
