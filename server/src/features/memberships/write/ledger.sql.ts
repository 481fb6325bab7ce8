import type { UserRef } from '@kohort/contract';
import sql from 'sql-template-tag';
import type { Db, Tx } from '../../../postgres/database.ts';
import { named } from '../../../postgres/statement.ts';
import type { Mode } from '../../../segmentation/decide.ts';
import { stands } from '../stands.sql.ts';

/**
 * What can be done to an override. `include` and `exclude` set it; `auto` drops it; `leave` drops it if it is an include;
 * `remove` does the same where that puts the user out, which is in plain lists.
 */
export type OverrideKind = 'include' | 'exclude' | 'auto' | 'leave' | 'remove';

/** One change of one override. */
export interface OverrideChange {
  readonly user: UserRef;
  readonly slug: string;
  readonly kind: OverrideKind;
  /** When a set override ends; null for never, or when `ttl` tells. */
  readonly expiresAt: Date | null;
  /** Seconds from the database's now. */
  readonly ttl: number | null;
  readonly actor: string;
}

/**
 * `applied`: it stands as asked now, with its history row. `unchanged`: it did before. `past`: it should end at a time that is
 * over. `expired`: a row was in the way whose time is up and which nobody has tidied. `dynamic`: a `remove` where percentage
 * or condition have a say. `held`: an import about this pair is being applied. `raced`: user or segment went away while the
 * statement ran.
 */
export type Outcome =
  | 'applied'
  | 'unchanged'
  | 'past'
  | 'user_unknown'
  | 'segment_unknown'
  | 'expired'
  | 'dynamic'
  | 'held'
  | 'raced';

/**
 * Changes any number of overrides, of distinct pairs, in one statement, each with its history row; an outcome for each.
 *
 * The lock of the user comes first: it makes writers of one user's memberships take turns, so that the moment read once it
 * is held dates their changes in the order in which they happen; it is also the moment by which expiry is judged. The lock
 * of the segment's key waits for a deletion that is under way and then finds no segment; a deletion waits for it likewise.
 * A subquery around each array hides its length from the planner, which would otherwise plan anew for each short one (ADR 31).
 * Pairs that an import holds are left alone: to wait for it here would make everybody wait who shares the statement.
 */
export async function applyChanges(db: Db, changes: readonly OverrideChange[]): Promise<Outcome[]> {
  const statement = sql`
    WITH input AS MATERIALIZED (
      SELECT i.ord, coalesce(i.user_id, k.user_id) AS user_id, i.slug, i.kind, i.expires_at, i.ttl, i.actor,
        (i.expires_at <= statement_timestamp()) IS TRUE AS past
      FROM unnest(
        (SELECT ${changes.map(({ user }) => user.id ?? null)}::bigint[]),
        (SELECT ${changes.map(({ user }) => user.externalId ?? null)}::text[]),
        (SELECT ${changes.map(({ slug }) => slug)}::text[]),
        (SELECT ${changes.map(({ kind }) => kind)}::text[]),
        (SELECT ${changes.map(({ expiresAt }) => expiresAt)}::timestamptz[]),
        (SELECT ${changes.map(({ ttl }) => ttl)}::float8[]),
        (SELECT ${changes.map(({ actor }) => actor)}::text[])
      ) WITH ORDINALITY AS i(user_id, external_id, slug, kind, expires_at, ttl, actor, ord)
        LEFT JOIN user_keys k ON k.external_id = i.external_id
    ), locked AS MATERIALIZED (
      SELECT l.ord, l.user_id, l.segment_id, l.kind, l.actor, l.kind = 'remove' AND NOT l.is_list AS dynamic, l.now,
        CASE WHEN l.ttl IS NULL THEN l.expires_at ELSE l.now + make_interval(secs => l.ttl) END AS expires_at
      FROM (
        SELECT k.*, date_trunc('milliseconds', clock_timestamp()) AS now
        FROM (
          SELECT i.ord, i.user_id, s.id AS segment_id, i.kind, i.expires_at, i.ttl, i.actor,
            s.percentage IS NULL AND s.condition IS NULL AS is_list
          FROM input i JOIN users u ON u.id = i.user_id JOIN segments s ON s.slug = i.slug AND s.deleted_at IS NULL
          WHERE NOT i.past AND NOT EXISTS (
            SELECT FROM import_holds h
            WHERE h.segment_id IN (0, s.id) AND h.block IN (-1, i.user_id >> 10)
              AND (h.offsets IS NULL OR (i.user_id & 1023)::smallint = ANY(h.offsets))
          )
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
      RETURNING user_id, segment_id
    )
    SELECT
      CASE
        WHEN i.past THEN 'past'
        WHEN l.dynamic THEN 'dynamic'
        WHEN c.user_id IS NOT NULL THEN 'applied'
        -- Not changed: it stands as asked, or else what is in the way is over; this snapshot may be too old to hold it.
        WHEN l.kind IN ('include', 'exclude') AND NOT EXISTS (
          SELECT FROM memberships m
          WHERE m.user_id = l.user_id AND m.segment_id = l.segment_id AND m.mode = l.kind
            AND m.expires_at IS NOT DISTINCT FROM l.expires_at AND ${stands(sql`m`, sql`l.now`)}
        ) THEN 'expired'
        WHEN l.ord IS NOT NULL THEN 'unchanged'
        WHEN NOT EXISTS (SELECT FROM users u WHERE u.id = i.user_id) THEN 'user_unknown'
        WHEN NOT EXISTS (SELECT FROM segments s WHERE s.slug = i.slug AND s.deleted_at IS NULL) THEN 'segment_unknown'
        WHEN EXISTS (SELECT FROM import_holds h) THEN 'held'
        ELSE 'raced'
      END AS outcome
    FROM input i
      LEFT JOIN locked l ON l.ord = i.ord
      LEFT JOIN changed c ON c.user_id = l.user_id AND c.segment_id = l.segment_id
    ORDER BY i.ord`;
  const rows = await db.write<{ outcome: Outcome }>(named('overrides-apply', statement));
  return rows.map(({ outcome }) => outcome);
}

/** The places of those times that are over, by the clock that will judge them. */
export async function selectPast(db: Db, times: readonly (Date | null)[]): Promise<number[]> {
  const rows = await db.query<{ place: number }>(sql`
    SELECT t.ord - 1 AS place
    FROM unnest(${times}::timestamptz[]) WITH ORDINALITY AS t(at, ord)
    WHERE t.at <= statement_timestamp()`);
  return rows.map(({ place }) => place);
}

/** The overrides of a user that stand, by segment. */
export async function selectStanding(tx: Tx, userId: number): Promise<Map<number, Mode>> {
  const rows = await tx.query<{ segment_id: number; mode: Mode }>(sql`
    SELECT m.segment_id, m.mode FROM memberships m
    WHERE m.user_id = ${userId} AND ${stands(sql`m`)}`);
  return new Map(rows.map(({ segment_id, mode }) => [segment_id, mode]));
}

/** All overrides of a user, taken away with their history rows. The user is locked by the transaction. */
export async function dropAllOfUser(tx: Tx, userId: number, actor: string): Promise<void> {
  await tx.write(sql`
    WITH dropped AS (
      DELETE FROM memberships m WHERE m.user_id = ${userId} RETURNING m.user_id, m.segment_id, m.mode, m.expires_at
    )
    INSERT INTO history (user_id, segment_id, op, mode, at, expires_at, actor)
    SELECT d.user_id, d.segment_id, 'remove', d.mode, date_trunc('milliseconds', clock_timestamp()), d.expires_at, ${actor}
    FROM dropped d`);
}
