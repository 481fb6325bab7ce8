import sql, { join, raw, type Sql } from 'sql-template-tag';
import type { Db } from '../../../postgres/database.ts';
import { momentSql } from '../moment.sql.ts';
import { stands } from '../stands.sql.ts';
import { type SetsSql, within } from './member-rule.sql.ts';
import type { SampleRow } from './preview.sql.ts';
import type { Slice } from './slices.ts';

/** Counts users by the exact combination of sets, as a bit mask; users in none count under 0. */
export type MaskCounts = ReadonlyMap<number, number>;

export function addCounts(to: Map<number, number>, counts: Iterable<readonly [mask: number, count: number]>): void {
  for (const [mask, count] of counts) to.set(mask, (to.get(mask) ?? 0) + count);
}

interface MaskRow {
  readonly mask: number;
  readonly count: number;
}

const countsOf = (rows: readonly MaskRow[]): MaskCounts => new Map(rows.map(({ mask, count }) => [mask, count]));

export async function countSets(db: Db, { joins, sets }: SetsSql, slice: Slice): Promise<MaskCounts> {
  const name = (i: number) => raw(`s${i}`);
  const columns = sets.map((set, i) => sql`${set} AS ${name(i)}`);
  const bits = sets.map((_, i) => sql`CASE WHEN g.${name(i)} THEN ${1 << i}::int ELSE 0 END`);
  // Grouped by booleans, of which the planner knows that they have two values: of a number it expects as many as there are users,
  // and then keeps all of the work in one process.
  const rows = await db.query<MaskRow>(sql`
    SELECT ${join(bits, ' + ')} AS mask, g.count
    FROM (
      SELECT ${join(columns, ', ')}, count(*) AS count
      FROM users u ${joins(slice)}
      WHERE ${within(sql`u.id`, slice)}
      GROUP BY ${join(
        sets.map((_, i) => raw(`${i + 1}`)),
        ', ',
      )}
    ) g`);
  return countsOf(rows);
}

/** The same for plain lists, for which only memberships are read; users in none of the lists are not counted. */
export async function countLists(db: Db, segmentIds: readonly number[], now: number): Promise<MaskCounts> {
  const rows = await db.query<MaskRow>(sql`
    SELECT x.mask, count(*) AS count
    FROM (
      SELECT bit_or(1 << (array_position(${segmentIds}::bigint[], m.segment_id) - 1)) AS mask
      FROM memberships m
      WHERE m.segment_id = ANY(${segmentIds}::bigint[]) AND m.mode = 'include' AND ${stands(sql`m`, momentSql(now))}
      GROUP BY m.user_id
    ) x
    GROUP BY x.mask`);
  return countsOf(rows);
}

/** A few users in one set and not in the other: those found first. */
export function sampleDifference(
  db: Db,
  { joins, inside, outside }: Pick<SetsSql, 'joins'> & { readonly inside: Sql; readonly outside: Sql },
  { limit, ...slice }: Slice & { readonly limit: number },
): Promise<SampleRow[]> {
  return db.query<SampleRow>(sql`
    SELECT u.id, u.external_id, u.name, u.attributes, u.created_at
    FROM users u ${joins(slice)}
    WHERE ${within(sql`u.id`, slice)} AND (${inside}) AND NOT (${outside})
    LIMIT ${limit}`);
}
