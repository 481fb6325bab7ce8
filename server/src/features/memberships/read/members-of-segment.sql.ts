import sql, { raw } from 'sql-template-tag';
import type { Db } from '../../../postgres/database.ts';
import type { PlannerFeature } from '../../../postgres/transaction.ts';
import type { Mode } from '../../../segmentation/overrides.ts';
import { momentSql } from '../moment.sql.ts';
import { stands } from '../stands.sql.ts';
import { type MemberSql, overrideOf, within } from './member-rule.sql.ts';
import { type PageOfIds, pageOfOverrides } from './page-of-overrides.sql.ts';
import type { Slice } from './slices.ts';

/**
 * Planner features that are off for pages. PostgreSQL expects a segment that was just filled to be small, and would collect and
 * sort all of it for every page.
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

/** A page as of a moment, in milliseconds since 1970. */
export interface PageAt extends PageOfIds {
  readonly now: number;
}

export function selectListMembers(db: Db, segmentId: number, { after, limit, now }: PageAt): Promise<MemberRow[]> {
  const where = sql`m.segment_id = ${segmentId} AND m.user_id > ${after} AND m.mode = 'include' AND ${stands(sql`m`, momentSql(now))}`;
  return db.query<MemberRow>(pageOfOverrides(db, where, { after, limit }));
}

export async function countListMembers(db: Db, segmentId: number, now: number): Promise<number> {
  const rows = await db.query<{ count: number }>(sql`
    SELECT count(*) AS count FROM memberships m
    WHERE m.segment_id = ${segmentId} AND m.mode = 'include' AND ${stands(sql`m`, momentSql(now))}`);
  return rows[0]?.count ?? 0;
}

/** The users of a slice whom the rule lets in and whom no override keeps out. The override of each is looked up by itself. */
export function selectLetIn(
  db: Db,
  segmentId: number,
  { joins, filter }: MemberSql,
  { limit, now, ...slice }: Slice & { readonly limit: number; readonly now: number },
): Promise<MemberRow[]> {
  return db.query<MemberRow>(sql`
    SELECT u.id, u.external_id, u.name, m.mode, m.since, m.expires_at
    FROM users u ${joins(slice)} ${override(segmentId, now)}
    WHERE ${within(sql`u.id`, slice)} AND ${filter} AND m.mode IS DISTINCT FROM 'exclude'
    ORDER BY u.id
    LIMIT ${limit}`);
}

/** Whether bitmap scans are allowed for the next statements. Only they use an index on an attribute. */
export async function allowBitmapScans(tx: Db, allowed: boolean): Promise<void> {
  await tx.query(raw(`SET LOCAL enable_bitmapscan = ${allowed ? 'on' : 'off'}`));
}

/** Those whom the rule lets in, corrected by the overrides: joined with all users they would keep it from using an index. */
export async function countMembers(
  db: Db,
  segmentId: number,
  { joins, rule, filter }: MemberSql,
  { now, ...slice }: Slice & { readonly now: number },
): Promise<number> {
  const rows = await db.query<{ count: number }>(sql`
    SELECT l.count + o.difference AS count
    FROM (SELECT count(*) AS count FROM users u ${joins(slice)} WHERE ${within(sql`u.id`, slice)} AND ${filter}) l,
      (
        SELECT coalesce(sum((m.mode = 'include')::int - (${rule})::int), 0) AS difference
        FROM users u JOIN memberships m ON ${overrideOf(sql`m`, segmentId, { ...slice, at: momentSql(now) })} ${joins(slice)}
        WHERE ${within(sql`u.id`, slice)}
      ) o`);
  return rows[0]?.count ?? 0;
}

const override = (segmentId: number, now: number) => sql`LEFT JOIN LATERAL (
        SELECT m.mode, m.since, m.expires_at FROM memberships m WHERE ${overrideOf(sql`m`, segmentId, { after: 0, at: momentSql(now) })} LIMIT 1
      ) m ON true`;

/**
 * Members that were decided in process, in the form of a page; the ids are in order. Their range keeps the statement from reading
 * all users, and the limit makes it look up each override separately.
 */
export async function selectDecided(
  db: Db,
  segmentId: number,
  ids: readonly number[],
  now: number,
): Promise<MemberRow[]> {
  const [first, last] = [ids[0], ids.at(-1)];
  if (first === undefined || last === undefined) return [];
  return db.query<MemberRow>(sql`
    SELECT u.id, u.external_id, u.name, m.mode, m.since, m.expires_at
    FROM users u ${override(segmentId, now)}
    WHERE u.id BETWEEN ${first} AND ${last} AND u.id = ANY(${ids}::bigint[])
    ORDER BY u.id`);
}
