import sql, { empty } from 'sql-template-tag';
import type { Db, Tx } from '../../postgres/database.ts';
import { nextUserId } from '../users/users.ts';
import type { UnknownRow } from './members.sql.ts';
import { inPages, tableOf } from './staging.sql.ts';

/** One row of the file, with its user; users to be created have their new ids already. */
export interface PlannedUser {
  readonly line: number;
  readonly user_id: number | null;
  readonly fresh: boolean;
  readonly external_id: string;
  readonly has_name: boolean;
  readonly name: string | null;
  readonly patch: string;
}

/** The rows by user and line. Keys are looked up once, since they are as many as users. */
export async function createUserPlan(tx: Tx, job: number, { create }: { create: boolean }): Promise<void> {
  const rows = tableOf(job, 'rows');
  // Citus finds keys inside of its workers, where the names are sent.
  const known = tx.isDistributed
    ? sql`
      named AS MATERIALIZED (SELECT DISTINCT r.external_id FROM ${rows} r),
      known AS MATERIALIZED (SELECT k.external_id, k.user_id FROM user_keys k JOIN named n ON n.external_id = k.external_id),`
    : empty;
  const keys = tx.isDistributed ? sql`known` : sql`user_keys`;
  await tx.query(sql`DROP TABLE IF EXISTS ${tableOf(job, 'plan')}`);
  await tx.query(sql`
    CREATE UNLOGGED TABLE ${tableOf(job, 'plan')} AS
    WITH ${known} found AS MATERIALIZED (
      SELECT r.line, k.user_id, r.external_id, r.has_name, r.name, r.patch
      FROM ${rows} r LEFT JOIN ${keys} k ON k.external_id = r.external_id
    ), fresh AS MATERIALIZED (
      SELECT d.external_id, ${nextUserId} AS id
      FROM (
        SELECT DISTINCT f.external_id FROM found f WHERE ${create ? sql`f.user_id IS NULL` : sql`false`} ORDER BY 1
      ) d
    )
    SELECT f.line, coalesce(f.user_id, n.id) AS user_id, f.user_id IS NULL AS fresh, f.external_id, f.has_name, f.name, f.patch
    FROM found f LEFT JOIN fresh n ON n.external_id = f.external_id AND f.user_id IS NULL
    ORDER BY 2, 1`);
}

/** The first rows about users who do not exist. Each row carries the total. */
export function selectUnknownUsers(db: Db, job: number, limit: number): Promise<UnknownRow[]> {
  return db.query<UnknownRow>(sql`
    SELECT count(*) OVER () AS all, p.line, 'there is no user with this external_id' AS message
    FROM ${tableOf(job, 'plan')} p
    WHERE p.user_id IS NULL
    ORDER BY p.line
    LIMIT ${limit}`);
}

export function selectPlanned(db: Db, job: number, pages: { from: number; to: number }): Promise<PlannedUser[]> {
  return db.query<PlannedUser>(sql`
    SELECT p.line, p.user_id, p.fresh, p.external_id, p.has_name, p.name, p.patch
    FROM ${tableOf(job, 'plan')} p
    WHERE ${inPages(pages.from, pages.to)}
    ORDER BY p.user_id, p.line`);
}

const stretchPages = 50;
const stretchBytes = 1024 * 1024;

/**
 * The end of the slice that starts with a page: some pages further, or earlier if their rows are long. Long values are stored
 * out of line, so a few pages can refer to a lot of data.
 */
export async function selectStretchEnd(db: Db, job: number, from: number): Promise<number> {
  const rows = await db.query<{ bytes: number | null }>(sql`
    SELECT sum(octet_length(p.patch)) AS bytes FROM ${tableOf(job, 'plan')} p WHERE ${inPages(from, from + stretchPages)}`);
  return (rows[0]?.bytes ?? 0) <= stretchBytes ? from + stretchPages : selectShortEnd(db, job, from);
}

/** Summing per page takes longer: PostgreSQL shows a page's number only in the text of a row's `ctid`. */
async function selectShortEnd(db: Db, job: number, from: number): Promise<number> {
  const rows = await db.query<{ last: number | null }>(sql`
    SELECT max(t.page) FILTER (WHERE t.bytes <= ${stretchBytes}) AS last
    FROM (
      SELECT g.page, sum(g.bytes) OVER (ORDER BY g.page) AS bytes
      FROM (
        SELECT split_part(trim('(' FROM p.ctid::text), ',', 1)::bigint AS page, sum(octet_length(p.patch)) AS bytes
        FROM ${tableOf(job, 'plan')} p
        WHERE ${inPages(from, from + stretchPages)}
        GROUP BY 1
      ) g
    ) t`);
  return Math.max(rows[0]?.last ?? from, from) + 1;
}
