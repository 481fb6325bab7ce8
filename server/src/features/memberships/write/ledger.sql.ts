import type { UserRef } from '@kohort/contract';
import sql, { type Sql } from 'sql-template-tag';
import type { Db, Tx } from '../../../postgres/database.ts';
import type { Mode } from '../../../segmentation/decide.ts';
import { isFenced } from '../../fences/fences.ts';
import { overrideEvents } from '../../outbox/outbox.ts';
import { ofUser } from '../of-user.sql.ts';
import { stands } from '../stands.sql.ts';

/**
 * What can be done to an override. `include` and `exclude` set it. `auto` drops it. `leave` drops it if it is an include.
 * `remove` does the same in plain lists, where that is enough to put the user out.
 */
export type OverrideKind = 'include' | 'exclude' | 'auto' | 'leave' | 'remove';

/** One change of one override. */
export interface OverrideChange {
  readonly user: UserRef;
  readonly slug: string;
  readonly kind: OverrideKind;
  /** When an override that is set ends. Null: never, or after `ttl`. */
  readonly expiresAt: Date | null;
  /** Seconds from the database's now. */
  readonly ttl: number | null;
  readonly actor: string;
}

/**
 * `added`, `updated`, `removed`: what was done, with a history row. `unchanged`: it stood as asked before. `past`: the expiry asked for
 * has passed. `expired`: an expired row that has not been swept yet is in the way. `dynamic`: a `remove` where percentage or
 * condition have a say. `fenced`: an import that changes this pair is being applied. `raced`: user or segment went away while
 * the statement ran.
 */
export type Outcome =
  | 'added'
  | 'updated'
  | 'removed'
  | 'unchanged'
  | 'past'
  | 'user_unknown'
  | 'segment_unknown'
  | 'expired'
  | 'dynamic'
  | 'fenced'
  | 'raced';

/** The changes as rows, with the ids of users who are named by their external ids. */
const input = sql`
  SELECT i.ord, i.slug,
    coalesce(i.user_id, (SELECT k.user_id FROM user_keys k WHERE k.external_id = i.external_id)) AS user_id,
    i.kind, i.expires_at, i.ttl, i.actor,
    (i.expires_at <= statement_timestamp()) IS TRUE AS past
  FROM unnest(
    (SELECT $1::bigint[]), (SELECT $2::text[]), (SELECT $3::text[]), (SELECT $4::text[]),
    (SELECT $5::timestamptz[]), (SELECT $6::float8[]), (SELECT $7::text[])
  ) WITH ORDINALITY AS i(user_id, external_id, slug, kind, expires_at, ttl, actor, ord)`;

/** What became of a row of the input, once everything is done. */
const outcome = sql`
  CASE
    WHEN i.past THEN 'past'
    WHEN l.dynamic THEN 'dynamic'
    WHEN c.op IS NOT NULL THEN CASE c.op WHEN 'add' THEN 'added' WHEN 'update' THEN 'updated' ELSE 'removed' END
    -- Not changed: it stands as asked already, or an expired row is in the way that this snapshot may be too old to see.
    WHEN l.kind IN ('include', 'exclude') AND (
      SELECT true FROM memberships m
      WHERE m.user_id = l.user_id AND m.segment_id = l.segment_id AND m.mode = l.kind
        AND m.expires_at IS NOT DISTINCT FROM l.expires_at AND ${stands(sql`m`, sql`l.now`)}
    ) IS NULL THEN 'expired'
    WHEN l.ord IS NOT NULL THEN 'unchanged'
    WHEN (SELECT true FROM users u WHERE u.id = i.user_id) IS NULL THEN 'user_unknown'
    WHEN NOT EXISTS (SELECT FROM segments s WHERE s.slug = i.slug AND s.deleted_at IS NULL) THEN 'segment_unknown'
    WHEN EXISTS (SELECT FROM fences f) THEN 'fenced'
    ELSE 'raced'
  END`;

// A text that never varies: built once, and prepared once per connection.
const applyText = sql`
  WITH input AS MATERIALIZED (
    ${input}
  ), locked AS MATERIALIZED (
    SELECT l.ord, l.user_id, l.segment_id, l.kind, l.actor, l.kind = 'remove' AND NOT l.is_list AS dynamic, l.followed, l.now,
      CASE WHEN l.ttl IS NULL THEN l.expires_at ELSE l.now + make_interval(secs => l.ttl) END AS expires_at
    FROM (
      SELECT k.*, date_trunc('milliseconds', clock_timestamp()) AS now
      FROM (
        SELECT i.ord, i.user_id, s.id AS segment_id, i.kind, i.expires_at, i.ttl, i.actor,
          num_nonnulls(s.percentage, s.ramp, s.layer_id, s.condition) = 0 AS is_list, s.followed
        FROM input i JOIN users u ON u.id = i.user_id JOIN segments s ON s.slug = i.slug AND s.deleted_at IS NULL
        WHERE NOT i.past AND NOT ${isFenced(sql`i.user_id`, sql`s.id`)}
        ORDER BY i.user_id, s.id
        FOR NO KEY UPDATE OF u FOR KEY SHARE OF s
      ) k
    ) l
  ), upserted AS (
    INSERT INTO memberships AS m (user_id, segment_id, mode, since, expires_at)
    SELECT l.user_id, l.segment_id, l.kind, l.now, l.expires_at
    FROM locked l
    WHERE l.kind IN ('include', 'exclude')
    ON CONFLICT ON CONSTRAINT memberships_pkey DO UPDATE
    SET mode = excluded.mode,
      since = CASE WHEN m.mode = excluded.mode THEN m.since ELSE excluded.since END,
      expires_at = excluded.expires_at
    WHERE (m.mode, m.expires_at) IS DISTINCT FROM (excluded.mode, excluded.expires_at)
      AND ${stands(sql`m`, sql`excluded.since`)}
    RETURNING m.user_id, m.segment_id, m.mode, m.expires_at, CASE WHEN m.xmax = 0 THEN 'add' ELSE 'update' END AS op
  ), dropped AS (
    DELETE FROM memberships m USING locked l
    WHERE m.user_id = l.user_id AND m.segment_id = l.segment_id
      AND (l.kind = 'auto' OR m.mode = 'include' AND (l.kind = 'leave' OR l.kind = 'remove' AND NOT l.dynamic))
      AND ${stands(sql`m`, sql`l.now`)}
    RETURNING m.user_id, m.segment_id, m.mode, m.expires_at, 'remove' AS op
  ), changed AS (
    INSERT INTO history (user_id, segment_id, op, mode, at, expires_at, actor)
    SELECT c.user_id, c.segment_id, c.op, c.mode, l.now, c.expires_at, l.actor
    FROM (TABLE upserted UNION ALL TABLE dropped) c
      JOIN locked l ON l.user_id = c.user_id AND l.segment_id = c.segment_id
    RETURNING user_id, segment_id, op
  ), told AS (
    ${overrideEvents(sql`
      SELECT c.segment_id, c.user_id, CASE WHEN c.op <> 'remove' THEN c.mode END AS mode, l.now AS at, NULL AS cause, l.actor
      FROM (TABLE upserted UNION ALL TABLE dropped) c
        JOIN locked l ON l.user_id = c.user_id AND l.segment_id = c.segment_id
      WHERE l.followed AND EXISTS (SELECT FROM locked f WHERE f.followed)`)}
  )
  SELECT
    ${outcome} AS outcome
  FROM input i
    LEFT JOIN locked l ON l.ord = i.ord
    LEFT JOIN changed c ON c.user_id = l.user_id AND c.segment_id = l.segment_id
  ORDER BY i.ord`.text;

/**
 * Changes any number of overrides, of distinct pairs, in one statement, each with its history row, and returns an outcome for
 * each.
 *
 * The lock on the user comes first. It makes writers of one user's memberships take turns, so that the moment that is read
 * once it is held dates their changes in the order in which they happen; expiry is judged by the same moment. The lock on the
 * segment's key waits for a deletion under way, and then finds no segment; a deletion waits for it likewise.
 * A subquery around each array hides its length from the planner, which would otherwise plan anew for each short one (ADR 31).
 * What is looked up for one pair is a scalar subquery: the planner could answer EXISTS or a join by scanning a table that is
 * small when it plans, and connections keep plans (ADR 45). Fenced pairs are skipped: waiting here would make every caller in
 * the statement wait.
 */
export async function applyChanges(db: Db, changes: readonly OverrideChange[]): Promise<Outcome[]> {
  const rows = await db.write<{ outcome: Outcome }>({
    name: 'overrides-apply',
    text: applyText,
    values: [
      changes.map(({ user }) => user.id ?? null),
      changes.map(({ user }) => user.externalId ?? null),
      changes.map(({ slug }) => slug),
      changes.map(({ kind }) => kind),
      changes.map(({ expiresAt }) => expiresAt),
      changes.map(({ ttl }) => ttl),
      changes.map(({ actor }) => actor),
    ],
  });
  return rows.map((row) => row.outcome);
}

/** The positions of times that have passed, by the clock that will judge them. */
export async function selectPast(db: Db, times: readonly (Date | null)[]): Promise<number[]> {
  const rows = await db.query<{ place: number }>(sql`
    SELECT t.ord - 1 AS place
    FROM unnest(${times}::timestamptz[]) WITH ORDINALITY AS t(at, ord)
    WHERE t.at <= statement_timestamp()`);
  return rows.map(({ place }) => place);
}

/** The overrides that stand of each of these users, by segment. */
export async function selectStanding(tx: Tx, userIds: readonly number[]): Promise<Map<number, Map<number, Mode>>> {
  const rows = await tx.query<{ user_id: number; segment_id: number; mode: Mode }>(sql`
    SELECT m.user_id, m.segment_id, m.mode
    FROM unnest(${userIds}::bigint[]) AS a(id)
      CROSS JOIN LATERAL (
        SELECT m.user_id, m.segment_id, m.mode FROM memberships m
        WHERE ${ofUser(sql`m`, sql`a.id`)} AND ${stands(sql`m`)} OFFSET 0
      ) m`);
  const standing = new Map(userIds.map((id) => [id, new Map<number, Mode>()]));
  for (const { user_id, segment_id, mode } of rows) standing.get(user_id)?.set(segment_id, mode);
  return standing;
}

/** The live segment with this slug. */
export async function selectSegmentId(db: Db, slug: string): Promise<number | undefined> {
  const rows = await db.query<{ id: number }>(sql`
    SELECT s.id FROM segments s WHERE s.slug = ${slug} AND s.deleted_at IS NULL`);
  return rows[0]?.id;
}

/** Removes all overrides of a user, with history rows. The transaction has locked the user. */
export async function removeAllOfUser(tx: Tx, userId: number, actor: string): Promise<void> {
  await tx.write(sql`
    WITH removed AS (
      DELETE FROM memberships m WHERE ${ofUser(sql`m`, sql`${userId}::bigint`)}
      RETURNING m.user_id, m.segment_id, m.mode, m.expires_at
    )
    INSERT INTO history (user_id, segment_id, op, mode, at, expires_at, actor)
    SELECT r.user_id, r.segment_id, 'remove', r.mode, date_trunc('milliseconds', clock_timestamp()), r.expires_at, ${actor}
    FROM removed r`);
}

/** Removes memberships that have ended, each with a history row dated with the moment it ended. */
async function removeEnded(db: Db, ended: Sql): Promise<number> {
  const rows = await db.write<{ count: number }>(sql`
    WITH ended AS MATERIALIZED (${ended}), removed AS (
      DELETE FROM memberships m USING ended e
      WHERE m.user_id = e.user_id AND m.segment_id = e.segment_id
      RETURNING m.user_id, m.segment_id, m.mode, m.expires_at, e.deleted_at, e.deleted_by, e.followed
    ), recorded AS (
      INSERT INTO history (user_id, segment_id, op, mode, at, expires_at, actor)
      SELECT r.user_id, r.segment_id,
        CASE WHEN e.expired THEN 'expire' ELSE 'remove' END,
        r.mode,
        CASE WHEN e.expired THEN r.expires_at ELSE r.deleted_at END,
        r.expires_at,
        CASE WHEN e.expired THEN 'system' ELSE r.deleted_by END
      FROM removed r
        CROSS JOIN LATERAL (
          SELECT (r.expires_at <= least(statement_timestamp(), r.deleted_at)) IS TRUE
        ) e(expired)
      RETURNING seq
    ), told AS (
      ${overrideEvents(sql`
        SELECT r.segment_id, r.user_id, NULL AS mode, r.expires_at AS at, 'expiry' AS cause, 'system' AS actor
        FROM removed r
        WHERE r.followed AND r.deleted_at IS NULL`)}
    )
    SELECT count(*) AS count FROM recorded`);
  return rows[0]?.count ?? 0;
}

const endedColumns = sql`m.user_id, m.segment_id, s.deleted_at, s.deleted_by, s.followed`;

/** The ended memberships of one user. Locks the user first, as every writer of memberships does, and so waits for the others. */
export function removeEndedOfUser(db: Db, userId: number): Promise<number> {
  return removeEnded(
    db,
    sql`
      SELECT ${endedColumns}
      FROM users u JOIN memberships m ON ${ofUser(sql`m`, sql`u.id`)} JOIN segments s ON s.id = m.segment_id
      WHERE u.id = ${userId} AND (m.expires_at <= statement_timestamp() OR s.deleted_at IS NOT NULL)
      FOR NO KEY UPDATE OF u FOR UPDATE OF m`,
  );
}

/** The expired memberships of users in one segment. The transaction has locked the users. */
export function removeExpiredOfUsers(tx: Tx, userIds: readonly number[], segmentId: number): Promise<number> {
  return removeEnded(
    tx,
    sql`
      SELECT ${endedColumns}
      FROM memberships m JOIN segments s ON s.id = m.segment_id
      WHERE m.segment_id = ${segmentId} AND m.user_id = ANY(${userIds}::bigint[]) AND m.expires_at <= statement_timestamp()
      FOR UPDATE OF m`,
  );
}

/** The memberships that expired first, at most `limit`. Rows that are locked are left for the next time. */
export function removeExpired(db: Db, limit: number): Promise<number> {
  return removeEnded(
    db,
    sql`
      SELECT ${endedColumns}
      FROM memberships m JOIN segments s ON s.id = m.segment_id
      WHERE m.expires_at <= statement_timestamp()
      ORDER BY m.expires_at
      LIMIT ${limit}
      FOR UPDATE OF m SKIP LOCKED`,
  );
}

/** Memberships of a deleted segment, at most `limit`. Rows that are locked are left for the next time. */
export function removeMembersOfDeleted(db: Db, segmentId: number, limit: number): Promise<number> {
  return removeEnded(
    db,
    sql`
      SELECT ${endedColumns}
      FROM memberships m JOIN segments s ON s.id = m.segment_id
      WHERE m.segment_id = ${segmentId} AND s.deleted_at IS NOT NULL
      LIMIT ${limit}
      FOR UPDATE OF m SKIP LOCKED`,
  );
}

export async function hasMembers(db: Db, segmentId: number): Promise<boolean> {
  return (await db.query(sql`SELECT FROM memberships m WHERE m.segment_id = ${segmentId} LIMIT 1`)).length > 0;
}

/** What a bulk change does to one segment. The memberships it may meet are those of users `first` to `last`. */
export interface BulkChange {
  /** A relation `p` with the columns `user_id`, `op` and `expires_at`, and which of its rows. `op`: include, exclude, drop (an include) or clear. */
  readonly plan: { readonly table: Sql; readonly part: Sql };
  readonly segmentId: number;
  readonly actor: string;
  readonly job: number;
  /** Text, because the driver would cut a date into parts that PostgreSQL has to put together again. */
  readonly now: string;
  readonly first: number;
  readonly last: number;
}

/** How many overrides of either mode a statement wrote or removed. */
export interface Changed {
  readonly include: number;
  readonly exclude: number;
}

/** `FROM` and the beginning of `WHERE`. */
const planned = ({ plan }: Pick<BulkChange, 'plan'>): Sql => sql`${plan.table} p WHERE ${plan.part}`;
const inRange = ({ segmentId, first, last }: BulkChange): Sql =>
  sql`m.segment_id = ${segmentId}::bigint AND m.user_id BETWEEN ${first}::bigint AND ${last}::bigint`;
/** The other rows are left to {@link removeLapsed}. */
const lasts = ({ now }: BulkChange): Sql => stands(sql`p`, sql`${now}::timestamptz`);
/** The plan asks for something else than `m`. */
const differs = sql`CASE p.op WHEN 'exclude' THEN m.mode <> 'exclude'
  ELSE (m.mode, m.expires_at) IS DISTINCT FROM ('include', p.expires_at) END`;

/** Runs a bulk statement and records what it changed. */
async function recorded(
  db: Db,
  op: 'add' | 'update' | 'remove',
  changed: Sql,
  { segmentId, actor, now, job }: BulkChange,
): Promise<Changed> {
  const rows = await db.write<Changed>(sql`
    WITH changed AS (${changed}), recorded AS (
      INSERT INTO history (user_id, segment_id, op, mode, at, expires_at, actor, job)
      SELECT c.user_id, ${segmentId}::bigint, ${op}::text, c.mode, ${now}::timestamptz, c.expires_at, ${actor}::text, ${job}::bigint
      FROM changed c
    ), told AS (
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

/** Removes what has expired in a segment, so that it is not in the way of a bulk change. */
export async function removeExpiredOfSegment(tx: Tx, segmentId: number, now: string): Promise<void> {
  await tx.write(sql`
    WITH removed AS (
      DELETE FROM memberships m
      WHERE m.segment_id = ${segmentId} AND m.expires_at <= ${now}::timestamptz
      RETURNING m.user_id, m.mode, m.expires_at
    ), told AS (
      ${overrideEvents(sql`
        SELECT ${segmentId}::bigint AS segment_id, r.user_id, NULL AS mode, r.expires_at AS at, 'expiry' AS cause, 'system' AS actor
        FROM removed r
        WHERE (SELECT s.followed FROM segments s WHERE s.id = ${segmentId}::bigint)`)}
    )
    INSERT INTO history (user_id, segment_id, op, mode, at, expires_at, actor)
    SELECT r.user_id, ${segmentId}::bigint, 'expire', r.mode, r.expires_at, r.expires_at, 'system' FROM removed r`);
}

/** Before {@link addPlanned}, whose snapshot sees what this one left. */
export function updatePlanned(tx: Tx, change: BulkChange): Promise<Changed> {
  return recorded(
    tx,
    'update',
    sql`
      UPDATE memberships m
      SET mode = p.op, since = CASE WHEN m.mode = p.op THEN m.since ELSE ${change.now}::timestamptz END, expires_at = p.expires_at
      FROM ${planned(change)} AND p.op IN ('include', 'exclude') AND ${lasts(change)} AND m.user_id = p.user_id AND ${inRange(change)} AND ${differs}
      RETURNING m.user_id, m.mode, m.expires_at`,
    change,
  );
}

/** Fails with a unique violation when another call adds one of them at the same time. The import then starts again. */
export function addPlanned(tx: Tx, change: BulkChange): Promise<Changed> {
  return recorded(
    tx,
    'add',
    sql`
      INSERT INTO memberships (user_id, segment_id, mode, since, expires_at)
      SELECT p.user_id, ${change.segmentId}::bigint, p.op, ${change.now}::timestamptz, p.expires_at
      FROM (
        SELECT p.user_id, p.op, p.expires_at
        FROM ${planned(change)} AND p.op IN ('include', 'exclude') AND ${lasts(change)} AND p.user_id IS NOT NULL
      ) p LEFT JOIN memberships m ON m.user_id = p.user_id AND ${inRange(change)}
      WHERE m.user_id IS NULL
      RETURNING user_id, mode, expires_at`,
    change,
  );
}

/**
 * Rows of the plan whose own time passed while the job waited. Applied when they came, each would have become an `include`
 * that has expired by now, so whatever override there is ends.
 */
export function removeLapsed(tx: Tx, change: BulkChange): Promise<Changed> {
  return recorded(
    tx,
    'remove',
    sql`
      DELETE FROM memberships m
      USING ${planned(change)} AND p.expires_at <= ${change.now}::timestamptz AND m.user_id = p.user_id AND ${inRange(change)}
      RETURNING m.user_id, m.mode, m.expires_at`,
    change,
  );
}

export function removePlanned(tx: Tx, change: BulkChange): Promise<Changed> {
  return recorded(
    tx,
    'remove',
    sql`
      DELETE FROM memberships m
      USING ${planned(change)} AND (p.op = 'clear' OR p.op = 'drop' AND m.mode = 'include') AND m.user_id = p.user_id AND ${inRange(change)}
      RETURNING m.user_id, m.mode, m.expires_at`,
    change,
  );
}

/** Removes members from one id up to another, which is not included, that the plan does not name. */
export function removeUnplanned(
  tx: Tx,
  change: BulkChange,
  { from, to }: { from: number; to: number | null },
): Promise<Changed> {
  return recorded(
    tx,
    'remove',
    sql`
      DELETE FROM memberships m
      WHERE m.segment_id = ${change.segmentId} AND m.mode = 'include'
        AND m.user_id >= ${from}::bigint AND (${to}::bigint IS NULL OR m.user_id < ${to}::bigint)
        AND NOT EXISTS (SELECT FROM ${planned(change)} AND p.user_id = m.user_id)
      RETURNING m.user_id, m.mode, m.expires_at`,
    change,
  );
}

/** How many users a plan would change. Those whose own time has passed are `lapsed`, never `unchanged`. */
export interface PlannedChange {
  readonly added: number;
  readonly updated: number;
  readonly removed: number;
  readonly unchanged: number;
  readonly lapsed: number;
}

/** What applying a whole plan, whose rows have a `line`, would do now. */
export async function previewPlanned(
  db: Db,
  plan: Sql,
  { segmentId, replace }: { segmentId: number; replace: boolean },
): Promise<PlannedChange> {
  const rows = await db.query<PlannedChange>(sql`
    SELECT
      count(*) FILTER (WHERE t.outcome = 'added') AS added,
      count(*) FILTER (WHERE t.outcome = 'updated') AS updated,
      count(*) FILTER (WHERE t.outcome = 'removed')
        + CASE WHEN ${replace} THEN (
            SELECT count(*) FROM memberships o
            WHERE o.segment_id = ${segmentId} AND o.mode = 'include' AND ${stands(sql`o`)}
              AND NOT EXISTS (SELECT FROM ${plan} q WHERE q.user_id = o.user_id)
          ) ELSE 0 END AS removed,
      count(t.line) FILTER (WHERE t.outcome IS NULL AND NOT t.lapsed) AS unchanged,
      count(*) FILTER (WHERE t.lapsed) AS lapsed
    FROM (
      SELECT p.line, (p.expires_at <= statement_timestamp()) IS TRUE AS lapsed, CASE
        WHEN p.expires_at <= statement_timestamp() THEN CASE m.mode WHEN 'include' THEN 'removed' WHEN 'exclude' THEN 'updated' END
        WHEN p.op = 'clear' THEN CASE m.mode WHEN 'include' THEN 'removed' WHEN 'exclude' THEN 'updated' END
        WHEN p.op = 'drop' THEN CASE m.mode WHEN 'include' THEN 'removed' END
        WHEN p.op = 'exclude' THEN CASE WHEN m.mode IS DISTINCT FROM 'exclude' THEN 'removed' END
        WHEN m.user_id IS NULL THEN 'added'
        WHEN ${differs} THEN 'updated'
      END AS outcome
      FROM ${plan} p LEFT JOIN memberships m ON m.segment_id = ${segmentId} AND m.user_id = p.user_id AND ${stands(sql`m`)}
      WHERE p.user_id IS NOT NULL
    ) t`);
  return rows[0] ?? { added: 0, updated: 0, removed: 0, unchanged: 0, lapsed: 0 };
}
