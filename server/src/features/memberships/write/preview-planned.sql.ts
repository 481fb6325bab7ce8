import sql, { empty, type Sql } from 'sql-template-tag';
import type { Db } from '../../../postgres/database.ts';
import { momentSql, selectMoment } from '../moment.sql.ts';
import { stands } from '../stands.sql.ts';
import { differs } from './planned.sql.ts';

/** How many users a plan would change. Those whose expiry has passed are `lapsed`, never `unchanged`. */
export interface PlannedChange {
  readonly added: number;
  readonly updated: number;
  readonly removed: number;
  readonly unchanged: number;
  readonly lapsed: number;
}

/** The overrides of a segment for a statement that joins them with a plan, and the moment that judges both. */
interface Met {
  readonly ctes: Sql;
  readonly overrides: Sql;
  readonly at: Sql;
}

async function metBy(db: Db, segmentId: number): Promise<Met> {
  const ofSegment = (at: Sql) => sql`m.segment_id = ${segmentId} AND ${stands(sql`m`, at)}`;
  if (!db.isDistributed) {
    const at = sql`statement_timestamp()`;
    return { ctes: empty, overrides: sql`(SELECT * FROM memberships m WHERE ${ofSegment(at)})`, at };
  }
  const at = momentSql(await selectMoment(db));
  const ctes = sql`WITH overrides AS MATERIALIZED (SELECT m.user_id, m.mode, m.expires_at FROM memberships m WHERE ${ofSegment(at)})`;
  return { ctes, overrides: sql`overrides`, at };
}

/** Counts what applying a whole plan, whose rows have a `line`, would do now. */
export async function previewPlanned(
  db: Db,
  plan: Sql,
  { segmentId, replace }: { segmentId: number; replace: boolean },
): Promise<PlannedChange> {
  const { ctes, overrides, at } = await metBy(db, segmentId);
  const rows = await db.query<PlannedChange>(sql`
    ${ctes}
    SELECT
      count(*) FILTER (WHERE t.outcome = 'added') AS added,
      count(*) FILTER (WHERE t.outcome = 'updated') AS updated,
      count(*) FILTER (WHERE t.outcome = 'removed')
        + CASE WHEN ${replace} THEN (
            SELECT count(*) FROM ${overrides} o
            WHERE o.mode = 'include' AND NOT EXISTS (SELECT 1 FROM ${plan} q WHERE q.user_id = o.user_id)
          ) ELSE 0 END AS removed,
      count(t.line) FILTER (WHERE t.outcome IS NULL AND NOT t.lapsed) AS unchanged,
      count(*) FILTER (WHERE t.lapsed) AS lapsed
    FROM (
      SELECT p.line, (p.expires_at <= ${at}) IS TRUE AS lapsed, CASE
        WHEN p.expires_at <= ${at} THEN CASE m.mode WHEN 'include' THEN 'removed' WHEN 'exclude' THEN 'updated' END
        WHEN p.op = 'clear' THEN CASE m.mode WHEN 'include' THEN 'removed' WHEN 'exclude' THEN 'updated' END
        WHEN p.op = 'drop' THEN CASE m.mode WHEN 'include' THEN 'removed' END
        WHEN p.op = 'exclude' THEN CASE WHEN m.mode IS DISTINCT FROM 'exclude' THEN 'removed' END
        WHEN m.user_id IS NULL THEN 'added'
        WHEN ${differs} THEN 'updated'
      END AS outcome
      FROM ${plan} p LEFT JOIN ${overrides} m ON m.user_id = p.user_id
      WHERE p.user_id IS NOT NULL
    ) t`);
  return rows[0] ?? { added: 0, updated: 0, removed: 0, unchanged: 0, lapsed: 0 };
}
