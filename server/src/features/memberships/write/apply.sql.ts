import sql, { empty } from 'sql-template-tag';
import type { Db, Transactor } from '../../../postgres/database.ts';
import { inForm } from '../../../postgres/forms.ts';
import { isFenced } from '../../fences/fences.ts';
import { overrideEvents } from '../../outbox/outbox.ts';
import { stands } from '../stands.sql.ts';
import { applyOnWorkers } from './apply-on-workers.sql.ts';
import type { Outcome, OverrideChange } from './override-change.ts';
import { isPlainList, overrideColumns, setOverrides } from './override-rows.sql.ts';

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

/** The outcome of each row of the input. */
const outcome = sql`
  CASE
    WHEN i.past THEN 'past'
    WHEN l.dynamic THEN 'dynamic'
    WHEN c.op IS NOT NULL THEN CASE c.op WHEN 'add' THEN 'added' WHEN 'update' THEN 'updated' ELSE 'removed' END
    -- Not changed: either it is as requested already, or an expired row is in the way that this snapshot may be too old to see.
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

const dropped = sql`
  DELETE FROM memberships m USING locked l
  WHERE m.user_id = l.user_id AND m.segment_id = l.segment_id
    AND (l.kind = 'auto' OR m.mode = 'include' AND (l.kind = 'leave' OR l.kind = 'remove' AND NOT l.dynamic))
    AND ${stands(sql`m`, sql`l.now`)}
  RETURNING ${overrideColumns}, 'remove' AS op`;

/** The statement for changes that only set overrides leaves `dropped` out: starting a deletion costs even where it finds nothing. */
function textFor({ drops }: { drops: boolean }): string {
  const done = drops ? sql`(TABLE upserted UNION ALL TABLE dropped)` : sql`upserted`;
  return sql`
  WITH input AS MATERIALIZED (
    ${input}
  ), locked AS MATERIALIZED (
    SELECT l.ord, l.user_id, l.segment_id, l.kind, l.actor, l.kind = 'remove' AND NOT l.is_list AS dynamic, l.followed, l.now,
      CASE WHEN l.ttl IS NULL THEN l.expires_at ELSE l.now + make_interval(secs => l.ttl) END AS expires_at
    FROM (
      SELECT k.*, date_trunc('milliseconds', clock_timestamp()) AS now
      FROM (
        SELECT i.ord, i.user_id, s.id AS segment_id, i.kind, i.expires_at, i.ttl, i.actor,
          ${isPlainList} AS is_list, s.followed
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
    ${setOverrides}
  )${drops ? sql`, dropped AS (${dropped})` : empty}, changed AS (
    INSERT INTO history (user_id, segment_id, op, mode, at, expires_at, actor)
    SELECT c.user_id, c.segment_id, c.op, c.mode, l.now, c.expires_at, l.actor
    FROM ${done} c
      JOIN locked l ON l.user_id = c.user_id AND l.segment_id = c.segment_id
    RETURNING user_id, segment_id, op
  ), events AS (
    ${overrideEvents(sql`
      SELECT c.segment_id, c.user_id, CASE WHEN c.op <> 'remove' THEN c.mode END AS mode, l.now AS at, NULL AS cause, l.actor
      FROM ${done} c
        JOIN locked l ON l.user_id = c.user_id AND l.segment_id = c.segment_id
      WHERE l.followed AND EXISTS (SELECT FROM locked f WHERE f.followed)`)}
  )
  SELECT
    ${outcome} AS outcome
  FROM input i
    LEFT JOIN locked l ON l.ord = i.ord
    LEFT JOIN changed c ON c.user_id = l.user_id AND c.segment_id = l.segment_id
  ORDER BY i.ord`.text;
}

// The texts never vary, so they are built once and prepared once per connection.
const setting = { name: 'overrides-set', text: textFor({ drops: false }) };
const applying = { name: 'overrides-apply', text: textFor({ drops: true }) };

/**
 * Changes any number of overrides of distinct pairs in one statement, each with a history row. Returns an outcome for each.
 *
 * The lock on the user comes first. It serializes the writers of one user's memberships, so that the time read once it is held
 * dates their changes in the order in which they happen; expiry is decided by the same time. The lock on the segment's key waits
 * for a running deletion and then finds no segment; a deletion waits for it likewise.
 * A subquery around each array hides its length from the planner, which would otherwise replan for each short one (ADR 31).
 * Look-ups for one pair are scalar subqueries: the planner could turn EXISTS or a join into a scan of a table that is small at
 * planning time, and connections keep plans (ADR 45). Fenced pairs are skipped: waiting here would make every caller in the
 * statement wait.
 */
export function applyChanges(db: Transactor, changes: readonly OverrideChange[]): Promise<Outcome[]> {
  return inForm(db, {
    single: () => applyAtOnce(db, changes),
    distributed: () => applyOnWorkers(db, changes),
  });
}

async function applyAtOnce(db: Db, changes: readonly OverrideChange[]): Promise<Outcome[]> {
  const onlySet = changes.every(({ kind }) => kind === 'include' || kind === 'exclude');
  const rows = await db.write<{ outcome: Outcome }>({
    ...(onlySet ? setting : applying),
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
