import sql from 'sql-template-tag';
import type { Db, Tx } from '../../../postgres/database.ts';
import type { Mode } from '../../../segmentation/overrides.ts';
import { momentSql, selectMoment } from '../moment.sql.ts';
import { ofUser } from '../of-user.sql.ts';
import { stands } from '../stands.sql.ts';
import type { OverrideRow } from './override-rows.sql.ts';

/** The indexes of times that have passed, by the clock that decides expiry. */
export async function selectPast(db: Db, times: readonly (Date | null)[]): Promise<number[]> {
  const rows = await db.query<{ place: number }>(sql`
    SELECT t.ord - 1 AS place
    FROM unnest(${times}::timestamptz[]) WITH ORDINALITY AS t(at, ord)
    WHERE t.at <= statement_timestamp()`);
  return rows.map(({ place }) => place);
}

type StandingRow = Omit<OverrideRow, 'expires_at'>;

/** The overrides in force of each of these users, by segment. */
export async function selectStanding(tx: Tx, userIds: readonly number[]): Promise<Map<number, Map<number, Mode>>> {
  const rows = await (tx.isDistributed ? selectStandingOnWorkers(tx, userIds) : selectStandingAtOnce(tx, userIds));
  const standing = new Map(userIds.map((id) => [id, new Map<number, Mode>()]));
  for (const { user_id, segment_id, mode } of rows) standing.get(user_id)?.set(segment_id, mode);
  return standing;
}

function selectStandingAtOnce(tx: Tx, userIds: readonly number[]): Promise<StandingRow[]> {
  return tx.query<StandingRow>(sql`
    SELECT m.user_id, m.segment_id, m.mode
    FROM unnest(${userIds}::bigint[]) AS a(id)
      CROSS JOIN LATERAL (
        SELECT m.user_id, m.segment_id, m.mode FROM memberships m
        WHERE ${ofUser(sql`m`, sql`a.id`)} AND ${stands(sql`m`)} OFFSET 0
      ) m`);
}

async function selectStandingOnWorkers(tx: Tx, userIds: readonly number[]): Promise<StandingRow[]> {
  const now = momentSql(await selectMoment(tx));
  return tx.query<StandingRow>(sql`
    SELECT m.user_id, m.segment_id, m.mode FROM memberships m
    WHERE m.user_id = ANY(${userIds}::bigint[]) AND ${stands(sql`m`, now)}`);
}

/** The live segment with this slug. */
export async function selectSegmentId(db: Db, slug: string): Promise<number | undefined> {
  const rows = await db.query<{ id: number }>(sql`
    SELECT s.id FROM segments s WHERE s.slug = ${slug} AND s.deleted_at IS NULL`);
  return rows[0]?.id;
}
