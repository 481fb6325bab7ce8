import sql from 'sql-template-tag';
import type { Db } from '../../../postgres/database.ts';
import type { PlannerFeature } from '../../../postgres/transaction.ts';
import type { Mode } from '../../../segmentation/decide.ts';
import { stands } from '../stands.sql.ts';
import { isIn, type MemberSql, overrideOf, ownOverride } from './member-rule.sql.ts';

/**
 * Planner features that pages do without. PostgreSQL believes that a segment which has just been filled is small, and would
 * gather and sort all of it for every page.
 */
export const pagesPlannerOff: readonly PlannerFeature[] = ['jit', 'bitmapscan'];

export interface MemberRow {
  readonly id: number;
  readonly external_id: string | null;
  readonly name: string | null;
  readonly mode: Mode | null;
  readonly since: Date | null;
  readonly expires_at: Date | null;
}

export interface PageOfIds {
  readonly after: number;
  readonly limit: number;
}

/** The page is cut out of the memberships, in the order of their index, before their users are looked up. */
export function selectListMembers(db: Db, segmentId: number, { after, limit }: PageOfIds): Promise<MemberRow[]> {
  return db.query<MemberRow>(sql`
    SELECT m.user_id AS id, u.external_id, u.name, m.mode, m.since, m.expires_at
    FROM (
      SELECT m.user_id, m.mode, m.since, m.expires_at
      FROM memberships m
      WHERE m.segment_id = ${segmentId} AND m.user_id > ${after} AND m.mode = 'include' AND ${stands(sql`m`)}
      ORDER BY m.user_id
      LIMIT ${limit}
    ) m LEFT JOIN users u ON u.id = m.user_id AND u.id > ${after}
    ORDER BY m.user_id`);
}

export async function countListMembers(db: Db, segmentId: number): Promise<number> {
  const rows = await db.query<{ count: number }>(sql`
    SELECT count(*) AS count FROM memberships m
    WHERE m.segment_id = ${segmentId} AND m.mode = 'include' AND ${stands(sql`m`)}`);
  return rows[0]?.count ?? 0;
}

export function selectMembers(
  db: Db,
  segmentId: number,
  member: MemberSql,
  { after, limit }: PageOfIds,
): Promise<MemberRow[]> {
  return db.query<MemberRow>(sql`
    SELECT u.id, u.external_id, u.name, m.mode, m.since, m.expires_at
    FROM users u ${ownOverride(segmentId, after)} ${member.joins(after)}
    WHERE u.id > ${after} AND ${isIn(member.rule)}
    ORDER BY u.id
    LIMIT ${limit}`);
}

export async function countMembers(db: Db, segmentId: number, member: MemberSql): Promise<number> {
  const rows = await db.query<{ count: number }>(sql`
    SELECT count(*) AS count
    FROM users u ${ownOverride(segmentId)} ${member.joins(0)}
    WHERE ${isIn(member.rule)}`);
  return rows[0]?.count ?? 0;
}

/**
 * Members that were decided in process, as a page shows them; the ids in order. Their range keeps the statement from reading
 * all users, and the limit has each override looked up by itself.
 */
export async function selectDecided(db: Db, segmentId: number, ids: readonly number[]): Promise<MemberRow[]> {
  const [first, last] = [ids[0], ids.at(-1)];
  if (first === undefined || last === undefined) return [];
  return db.query<MemberRow>(sql`
    SELECT u.id, u.external_id, u.name, m.mode, m.since, m.expires_at
    FROM users u
      LEFT JOIN LATERAL (
        SELECT m.mode, m.since, m.expires_at FROM memberships m WHERE ${overrideOf(sql`m`, segmentId, 0)} LIMIT 1
      ) m ON true
    WHERE u.id BETWEEN ${first} AND ${last} AND u.id = ANY(${ids}::bigint[])
    ORDER BY u.id`);
}
