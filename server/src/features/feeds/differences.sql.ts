import sql, { type Sql } from 'sql-template-tag';
import type { Db, Tx } from '../../postgres/database.ts';
import { isIn, type MemberSql, ownOverride } from '../memberships/memberships.ts';

/** Users by id: `after` is exclusive, `to` inclusive. */
export interface UserRange {
  readonly after: number;
  readonly to: number;
}

const within = (id: Sql, { after, to }: UserRange) => sql`${id} > ${after} AND ${id} <= ${to}`;

/** The id of the last of the next `limit` users; undefined if there are fewer. */
export async function selectEndOfUsers(db: Db, after: number, limit: number): Promise<number | undefined> {
  const rows = await db.query<{ id: number }>(sql`
    SELECT u.id FROM users u WHERE u.id > ${after} ORDER BY u.id OFFSET ${limit - 1} LIMIT 1`);
  return rows[0]?.id;
}

/** Members who are not published as such, and the reverse. */
const differing = (segmentId: number, member: MemberSql, range: UserRange) => sql`
  SELECT u.id AS user_id, d.is_in
  FROM users u ${ownOverride(segmentId, { after: range.after })} ${member.joins({ after: range.after })}
    CROSS JOIN LATERAL (SELECT ${isIn(member.rule)} AS is_in OFFSET 0) d
    LEFT JOIN feed_members t ON t.segment_id = ${segmentId} AND t.user_id = u.id AND ${within(sql`t.user_id`, range)}
  WHERE ${within(sql`u.id`, range)} AND d.is_in <> (t.user_id IS NOT NULL)`;

/** Ordered by user id. */
export async function selectDifferences(
  db: Db,
  segmentId: number,
  member: MemberSql,
  range: UserRange,
): Promise<{ user_id: number; is_in: boolean }[]> {
  return db.query<{ user_id: number; is_in: boolean }>(sql`${differing(segmentId, member, range)} ORDER BY u.id`);
}

/** Publishes all differences within a range. Returns how many there were. */
export async function publishDifferences(
  tx: Tx,
  segmentId: number,
  member: MemberSql,
  range: UserRange,
  { at, cause, actor }: { readonly at: Date; readonly cause: string; readonly actor: string },
): Promise<number> {
  const rows = await tx.write<{ count: number }>(sql`
    WITH moved AS MATERIALIZED (${differing(segmentId, member, range)}), entered AS (
      INSERT INTO feed_members (segment_id, user_id)
      SELECT ${segmentId}::bigint, g.user_id FROM moved g WHERE g.is_in
    ), gone AS (
      DELETE FROM feed_members t USING moved g
      WHERE t.segment_id = ${segmentId} AND t.user_id = g.user_id AND NOT g.is_in AND ${within(sql`t.user_id`, range)}
    ), published AS (
      INSERT INTO feed_changes (type, segment_id, slug, user_id, external_id, at, cause, actor)
      SELECT CASE WHEN g.is_in THEN 'entered' ELSE 'left' END, s.id, s.slug, g.user_id, u.external_id,
        ${at}::timestamptz, ${cause}::text, ${actor}::text
      FROM moved g JOIN segments s ON s.id = ${segmentId} LEFT JOIN users u ON u.id = g.user_id
      ORDER BY g.user_id
    )
    SELECT count(*) AS count FROM moved`);
  return rows[0]?.count ?? 0;
}

/** The next published members, by id. */
export async function selectPublishedAfter(db: Db, segmentId: number, after: number, limit: number): Promise<number[]> {
  const rows = await db.query<{ user_id: number }>(sql`
    SELECT t.user_id FROM feed_members t
    WHERE t.segment_id = ${segmentId} AND t.user_id > ${after}
    ORDER BY t.user_id
    LIMIT ${limit}`);
  return rows.map(({ user_id }) => user_id);
}

export async function selectPublishedWithin(db: Db, segmentId: number, range: UserRange): Promise<ReadonlySet<number>> {
  const rows = await db.query<{ user_id: number }>(sql`
    SELECT t.user_id FROM feed_members t
    WHERE t.segment_id = ${segmentId} AND ${within(sql`t.user_id`, range)}
    ORDER BY t.user_id`);
  return new Set(rows.map(({ user_id }) => user_id));
}

/** Selects overrides of these segments that expire between two moments. */
export interface Expiries {
  readonly segmentIds: readonly number[];
  readonly from: Date;
  readonly before: Date | null;
}

/** Schedules the evaluation of all users of a range for the first expiry of their overrides, replacing earlier schedules. */
export async function replaceExpiries(
  tx: Tx,
  segmentId: number,
  range: UserRange,
  { segmentIds, from, before }: Expiries,
): Promise<void> {
  await tx.write(sql`DELETE FROM feed_due d WHERE d.segment_id = ${segmentId} AND ${within(sql`d.user_id`, range)}`);
  if (segmentIds.length === 0) return;
  await tx.write(sql`
    INSERT INTO feed_due (segment_id, user_id, due_at)
    SELECT ${segmentId}::bigint, m.user_id, min(m.expires_at)
    FROM memberships m
    WHERE m.segment_id = ANY(${segmentIds}::bigint[]) AND ${within(sql`m.user_id`, range)}
      AND m.expires_at > ${from} AND (${before}::timestamptz IS NULL OR m.expires_at < ${before})
    GROUP BY m.user_id`);
}
