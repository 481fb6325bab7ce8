import sql from 'sql-template-tag';
import type { Db, Tx } from '../../postgres/database.ts';
import { isSettled } from './turn-state.sql.ts';

/** When to evaluate a user in a segment again; null for never. */
export interface Due {
  readonly segmentId: number;
  readonly userId: number;
  readonly at: Date | null;
}

export interface DueRow {
  readonly segment_id: number;
  readonly user_id: number;
  readonly due_at: Date;
}

/** Takes the evaluations that are due, earliest first. */
export function takeDue(tx: Tx, now: number, limit: number): Promise<DueRow[]> {
  return tx.write<DueRow>(sql`
    WITH due AS MATERIALIZED (
      SELECT d.segment_id, d.user_id FROM feed_due d
      WHERE d.due_at <= ${new Date(now)} AND ${isSettled}
      ORDER BY d.due_at
      LIMIT ${limit}
    ), taken AS (
      DELETE FROM feed_due d USING due
      WHERE d.segment_id = due.segment_id AND d.user_id = due.user_id
      RETURNING d.segment_id, d.user_id, d.due_at
    )
    SELECT t.segment_id, t.user_id, t.due_at FROM taken t ORDER BY t.due_at, t.user_id, t.segment_id`);
}

/** The due evaluations of these users in these segments. */
export function selectDue(
  db: Db,
  now: number,
  userIds: readonly number[],
  segmentIds: readonly number[],
): Promise<DueRow[]> {
  return db.query<DueRow>(sql`
    SELECT d.segment_id, d.user_id, d.due_at
    FROM feed_due d
    WHERE d.due_at <= ${new Date(now)}
      AND d.segment_id = ANY(${segmentIds}::bigint[]) AND d.user_id = ANY(${userIds}::bigint[])`);
}

/** Deletes some scheduled evaluations of a segment. Returns how many. */
export async function forgetDue(tx: Tx, segmentId: number, limit: number): Promise<number> {
  const rows = await tx.write(sql`
    DELETE FROM feed_due d
    WHERE d.segment_id = ${segmentId} AND d.user_id = ANY(ARRAY(
      SELECT n.user_id FROM feed_due n WHERE n.segment_id = ${segmentId} ORDER BY n.user_id LIMIT ${limit}
    ))
    RETURNING 1 AS one`);
  return rows.length;
}

/** Schedules evaluations, replacing earlier schedules of the same pairs. */
export async function replaceDue(tx: Tx, due: readonly Due[]): Promise<void> {
  const [set, clear] = [due.filter(({ at }) => at !== null), due.filter(({ at }) => at === null)];
  const columns = (rows: readonly Due[]) => sql`
    ${rows.map(({ segmentId }) => segmentId)}::bigint[], ${rows.map(({ userId }) => userId)}::bigint[]`;
  if (clear.length > 0) {
    await tx.write(sql`
      DELETE FROM feed_due d USING unnest(${columns(clear)}) AS c(segment_id, user_id)
      WHERE d.segment_id = c.segment_id AND d.user_id = c.user_id`);
  }
  if (set.length > 0) {
    await tx.write(sql`
      INSERT INTO feed_due AS d (segment_id, user_id, due_at)
      SELECT n.segment_id, n.user_id, n.due_at
      FROM unnest(${columns(set)}, ${set.map(({ at }) => at)}::timestamptz[]) AS n(segment_id, user_id, due_at)
      ON CONFLICT ON CONSTRAINT feed_due_pkey DO UPDATE SET due_at = excluded.due_at
      WHERE d.due_at <> excluded.due_at`);
  }
}
