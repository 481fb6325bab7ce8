import sql, { empty, type Sql } from 'sql-template-tag';
import type { Db, Tx } from '../../../postgres/database.ts';
import { overrideEvents } from '../../outbox/outbox.ts';
import { stands } from '../stands.sql.ts';

/** A bulk change of one segment. It may affect memberships of users `first` to `last`. */
export interface BulkChange {
  /** A relation `p` with the columns `user_id`, `op` and `expires_at`, and a filter on it. `op`: include, exclude, drop (an include) or clear. */
  readonly plan: { readonly table: Sql; readonly part: Sql };
  readonly segmentId: number;
  readonly actor: string;
  readonly job: number;
  /** As text: it is only a parameter of statements, so a Date would be parsed and formatted for nothing. */
  readonly now: string;
  readonly first: number;
  readonly last: number;
}

/** How many overrides of each mode a statement wrote or removed. */
export interface Changed {
  readonly include: number;
  readonly exclude: number;
}

/** The rows of a plan for one statement: CTEs that it begins with, then `FROM` and the beginning of `WHERE`. */
interface Planned {
  readonly ctes: Sql;
  readonly rows: Sql;
}

/** Citus does not join a table of the coordinator with those of its workers. What a CTE has read is sent to each of them. */
function plannedOf(db: Db, { plan }: BulkChange): Planned {
  if (!db.isDistributed) return { ctes: empty, rows: sql`${plan.table} p WHERE ${plan.part}` };
  return {
    ctes: sql`planned AS MATERIALIZED (SELECT p.user_id, p.op, p.expires_at FROM ${plan.table} p WHERE ${plan.part}),`,
    rows: sql`planned p WHERE true`,
  };
}
const inRange = ({ segmentId, first, last }: BulkChange): Sql =>
  sql`m.segment_id = ${segmentId}::bigint AND m.user_id BETWEEN ${first}::bigint AND ${last}::bigint`;
/** Excludes rows that are handled by {@link removeLapsed}. */
const lasts = ({ now }: BulkChange): Sql => stands(sql`p`, sql`${now}::timestamptz`);
/** The plan differs from `m`. */
export const differs = sql`CASE p.op WHEN 'exclude' THEN m.mode <> 'exclude'
  ELSE (m.mode, m.expires_at) IS DISTINCT FROM ('include', p.expires_at) END`;

/** Runs a bulk statement and records what it changed. */
async function recorded(
  db: Db,
  op: 'add' | 'update' | 'remove',
  changed: (planned: Sql) => Sql,
  change: BulkChange,
): Promise<Changed> {
  const { segmentId, actor, now, job } = change;
  const planned = plannedOf(db, change);
  const rows = await db.write<Changed>(sql`
    WITH ${planned.ctes} changed AS (${changed(planned.rows)}), recorded AS (
      INSERT INTO history (user_id, segment_id, op, mode, at, expires_at, actor, job)
      SELECT c.user_id, ${segmentId}::bigint, ${op}::text, c.mode, ${now}::timestamptz, c.expires_at, ${actor}::text, ${job}::bigint
      FROM changed c
    ), events AS (
      ${overrideEvents(
        sql`
          SELECT ${segmentId}::bigint AS segment_id, c.user_id, ${op === 'remove' ? sql`NULL` : sql`c.mode`} AS mode,
            ${now}::timestamptz AS at, 'import' AS cause, ${actor}::text AS actor
          FROM changed c
          WHERE (SELECT s.followed FROM segments s WHERE s.id = ${segmentId}::bigint)`,
        { bulk: true },
      )}
    )
    SELECT count(*) FILTER (WHERE c.mode = 'include') AS include, count(*) FILTER (WHERE c.mode = 'exclude') AS exclude
    FROM changed c`);
  return rows[0] ?? { include: 0, exclude: 0 };
}

/** Deletes expired memberships of a segment that would be in the way of a bulk change. */
export async function removeExpiredOfSegment(tx: Tx, segmentId: number, now: string): Promise<void> {
  await tx.write(sql`
    WITH removed AS (
      DELETE FROM memberships m
      WHERE m.segment_id = ${segmentId} AND m.expires_at <= ${now}::timestamptz
      RETURNING m.user_id, m.mode, m.expires_at
    ), events AS (
      ${overrideEvents(sql`
        SELECT ${segmentId}::bigint AS segment_id, r.user_id, NULL AS mode, r.expires_at AS at, 'expiry' AS cause, 'system' AS actor
        FROM removed r
        WHERE (SELECT s.followed FROM segments s WHERE s.id = ${segmentId}::bigint)`)}
    )
    INSERT INTO history (user_id, segment_id, op, mode, at, expires_at, actor)
    SELECT r.user_id, ${segmentId}::bigint, 'expire', r.mode, r.expires_at, r.expires_at, 'system' FROM removed r`);
}

/** Runs before {@link addPlanned}, whose snapshot sees the result. */
export function updatePlanned(tx: Tx, change: BulkChange): Promise<Changed> {
  return recorded(
    tx,
    'update',
    (planned) => sql`
      UPDATE memberships m
      SET mode = p.op, since = CASE WHEN m.mode = p.op THEN m.since ELSE ${change.now}::timestamptz END, expires_at = p.expires_at
      FROM ${planned} AND p.op IN ('include', 'exclude') AND ${lasts(change)} AND m.user_id = p.user_id AND ${inRange(change)} AND ${differs}
      RETURNING m.user_id, m.mode, m.expires_at`,
    change,
  );
}

/** Fails with a unique violation if a concurrent call adds one of them. The import then starts again. */
export function addPlanned(tx: Tx, change: BulkChange): Promise<Changed> {
  return recorded(
    tx,
    'add',
    (planned) => sql`
      INSERT INTO memberships (user_id, segment_id, mode, since, expires_at)
      SELECT p.user_id, ${change.segmentId}::bigint, p.op, ${change.now}::timestamptz, p.expires_at
      FROM (
        SELECT p.user_id, p.op, p.expires_at
        FROM ${planned} AND p.op IN ('include', 'exclude') AND ${lasts(change)} AND p.user_id IS NOT NULL
      ) p LEFT JOIN memberships m ON m.user_id = p.user_id AND ${inRange(change)}
      WHERE m.user_id IS NULL
      RETURNING user_id, mode, expires_at`,
    change,
  );
}

/** Removes the memberships of the planned users where `condition` holds for the plan's row and the membership. */
function removeWhere(tx: Tx, change: BulkChange, condition: Sql): Promise<Changed> {
  return recorded(
    tx,
    'remove',
    (planned) => sql`
      DELETE FROM memberships m
      USING ${planned} AND ${condition} AND m.user_id = p.user_id AND ${inRange(change)}
      RETURNING m.user_id, m.mode, m.expires_at`,
    change,
  );
}

/**
 * Rows of the plan whose expiry passed while the job waited. Applied on arrival, each would have replaced the override of its user
 * by an `include` that is expired by now, so that override is removed.
 */
export function removeLapsed(tx: Tx, change: BulkChange): Promise<Changed> {
  return removeWhere(tx, change, sql`p.expires_at <= ${change.now}::timestamptz`);
}

export function removePlanned(tx: Tx, change: BulkChange): Promise<Changed> {
  return removeWhere(tx, change, sql`(p.op = 'clear' OR p.op = 'drop' AND m.mode = 'include')`);
}

/** Removes members in a range of ids (the end is exclusive) that the plan does not name. */
export function removeUnplanned(
  tx: Tx,
  change: BulkChange,
  { from, to }: { from: number; to: number | null },
): Promise<Changed> {
  return recorded(
    tx,
    'remove',
    (planned) => sql`
      DELETE FROM memberships m
      WHERE m.segment_id = ${change.segmentId} AND m.mode = 'include'
        AND m.user_id >= ${from}::bigint AND (${to}::bigint IS NULL OR m.user_id < ${to}::bigint)
        AND NOT EXISTS (SELECT 1 FROM ${planned} AND p.user_id = m.user_id)
      RETURNING m.user_id, m.mode, m.expires_at`,
    change,
  );
}
