import sql from 'sql-template-tag';
import type { Db } from '../../postgres/database.ts';

export interface Size {
  readonly at: Date;
  readonly count: number;
}

export interface SegmentLife {
  readonly now: Date;
  readonly created_at: Date;
  /** When it last lost its rule; null if it never had one. */
  readonly list_since: Date | null;
}

/** When a segment was created, and since when it has been a plain list, if it is one. */
export async function selectLife(db: Db, segmentId: number): Promise<SegmentLife | undefined> {
  const rows = await db.query<SegmentLife>(sql`
    SELECT date_trunc('milliseconds', statement_timestamp()) AS now, min(v.at) AS created_at,
      max(v.until) FILTER (WHERE v.has_rule) AS list_since
    FROM (
      SELECT v.at, lead(v.at) OVER (ORDER BY v.version) AS until,
        num_nonnulls(v.percentage, v.ramp, v.layer_id, v.condition, v.active_from, v.active_until) > 0 AS has_rule
      FROM segment_versions v WHERE v.segment_id = ${segmentId}
    ) v
    HAVING min(v.at) IS NOT NULL`);
  return rows[0];
}

/**
 * The changes of the size of a plain list from point to point, starting from zero. Each history row that adds a user lasts
 * until their next row or its own expiry.
 */
export async function selectListChanges(
  db: Db,
  segmentId: number,
  points: readonly Date[],
): Promise<Map<number, number>> {
  const rows = await db.query<{ point: number; change: number }>(sql`
    WITH spans AS (
      SELECT r.at AS starts, least(r.next_at, r.expires_at) AS ends
      FROM (
        SELECT h.op, h.mode, h.at, h.expires_at, lead(h.at) OVER (PARTITION BY h.user_id ORDER BY h.seq) AS next_at
        FROM history h WHERE h.segment_id = ${segmentId}
      ) r
      WHERE r.op IN ('add', 'update') AND r.mode = 'include'
    ), moments AS (
      SELECT s.starts AS at, 1 AS change FROM spans s
      UNION ALL
      SELECT s.ends, -1 FROM spans s WHERE s.ends IS NOT NULL
    )
    -- A change counts from the first point at or after it; times are whole milliseconds.
    SELECT width_bucket(m.at - interval '1 microsecond', ${points}::timestamptz[]) AS point, sum(m.change)::bigint AS change
    FROM moments m
    GROUP BY 1`);
  return new Map(rows.map(({ point, change }) => [point, change]));
}

/** Measurements in a range, excluding its end: the last one in each of `slots` equal parts. */
export function selectMeasured(
  db: Db,
  segmentId: number,
  { from, to, slots }: { from: Date; to: Date; slots: number },
): Promise<Size[]> {
  return db.query<Size>(sql`
    SELECT DISTINCT ON (slot) s.at, s.count
    FROM segment_sizes s
      CROSS JOIN LATERAL (
        SELECT floor(
          extract(epoch FROM s.at - ${from}::timestamptz) * ${slots}::int
            / extract(epoch FROM ${to}::timestamptz - ${from}::timestamptz)
        ) AS slot
      ) o
    WHERE s.segment_id = ${segmentId} AND s.at >= ${from} AND s.at < ${to}
    ORDER BY slot, s.at DESC`);
}

/** The segments measured longest ago, never measured ones first. */
export async function orderByAge(db: Db, segmentIds: readonly number[]): Promise<number[]> {
  const rows = await db.query<{ id: number }>(sql`
    SELECT i.id
    FROM unnest(${segmentIds}::bigint[]) AS i(id)
      CROSS JOIN LATERAL (SELECT max(s.at) AS at FROM segment_sizes s WHERE s.segment_id = i.id) l
    ORDER BY l.at NULLS FIRST, i.id`);
  return rows.map(({ id }) => id);
}

export async function insertSize(db: Db, segmentId: number, count: number): Promise<void> {
  await db.write(sql`
    INSERT INTO segment_sizes (segment_id, at, count)
    VALUES (${segmentId}, date_trunc('milliseconds', statement_timestamp()), ${count})
    ON CONFLICT ON CONSTRAINT segment_sizes_pkey DO NOTHING`);
}

/** Keeps one measurement a day after a week, and none after two years. */
export async function thinSizes(db: Db): Promise<void> {
  await db.write(sql`
    DELETE FROM segment_sizes s
    WHERE s.at < statement_timestamp() - interval '2 years'
      OR s.at < statement_timestamp() - interval '7 days' AND EXISTS (
        SELECT FROM segment_sizes o
        WHERE o.segment_id = s.segment_id AND o.at > s.at
          AND date_trunc('day', o.at, 'UTC') = date_trunc('day', s.at, 'UTC')
      )`);
}
