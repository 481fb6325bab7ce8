import type { UserRef } from '@kohort/contract';
import sql, { type Sql } from 'sql-template-tag';
import { pageBytes, type Sized } from '../../paging/cursors.ts';
import type { Db, Tx } from '../../postgres/database.ts';
import type { JsonObject } from '../../segmentation/conditions/json.ts';
import { erasureEvents, type UserEventsBy, userEvents } from '../outbox/outbox.ts';
import type { AnyObject } from './merge-patch.ts';

export interface UserRow {
  readonly id: number;
  readonly external_id: string | null;
  readonly name: string | null;
  readonly attributes: JsonObject;
  readonly attributes_version: number;
  readonly created_at: Date;
}

export interface NewUser {
  readonly external_id: string | null;
  readonly name: string | null;
  readonly attributes: AnyObject;
}

/** Draws an id. Ids that are drawn and not used are lost. */
export const nextUserId = sql`nextval(pg_get_serial_sequence('users', 'id'))`;

/** The id behind a reference, as a scalar subquery: external ids are looked up by themselves, never joined. */
function idOf(ref: UserRef): Sql {
  return ref.id === undefined
    ? sql`(SELECT k.user_id FROM user_keys k WHERE k.external_id = ${ref.externalId})`
    : sql`${ref.id}::bigint`;
}

export async function selectUser(db: Db, ref: UserRef): Promise<UserRow | undefined> {
  const rows = await db.query<UserRow>(sql`
    SELECT u.id, u.external_id, u.name, u.attributes, u.attributes_version, u.created_at
    FROM users u
    WHERE u.id = ${idOf(ref)}`);
  return rows[0];
}

/** Also keeps others from changing the user, or anything of theirs, until the transaction ends. */
export async function selectUserForUpdate(tx: Tx, ref: UserRef): Promise<UserRow | undefined> {
  const rows = await tx.query<UserRow>(sql`
    SELECT u.id, u.external_id, u.name, u.attributes, u.attributes_version, u.created_at
    FROM users u
    WHERE u.id = ${idOf(ref)}
    FOR UPDATE`);
  return rows[0];
}

/** Undefined when the external id is taken, by a user who was committed before or by a rival that was quicker. */
export async function insertUser(db: Db, user: NewUser, actor: string): Promise<number | undefined> {
  const rows = await db.write<{ id: number }>(sql`
    WITH fresh AS (
      SELECT ${nextUserId} AS id
      WHERE NOT EXISTS (SELECT FROM user_keys k WHERE k.external_id = ${user.external_id})
    ), keyed AS (
      INSERT INTO user_keys (external_id, user_id)
      SELECT ${user.external_id}, fresh.id FROM fresh WHERE ${user.external_id}::text IS NOT NULL
      ON CONFLICT ON CONSTRAINT user_keys_pkey DO NOTHING
      RETURNING user_id
    ), made AS (
      INSERT INTO users (id, external_id, name, attributes) OVERRIDING SYSTEM VALUE
      SELECT fresh.id, ${user.external_id}, ${user.name}, ${JSON.stringify(user.attributes)}::jsonb
      FROM fresh
      WHERE ${user.external_id}::text IS NULL OR EXISTS (SELECT FROM keyed)
      RETURNING id, attributes, attributes_version, created_at
    ), versioned AS (
      INSERT INTO attribute_versions (user_id, version, at, attributes)
      SELECT made.id, made.attributes_version, made.created_at, made.attributes FROM made WHERE made.attributes <> '{}'
    ), recorded AS (
      ${userEvents(sql`SELECT made.id AS user_id, made.created_at AS at FROM made`, { cause: 'attributes', actor })}
    )
    SELECT made.id FROM made`);
  return rows[0]?.id;
}

export async function updateUser(
  tx: Tx,
  id: number,
  change: { name: string | null; attributes: AnyObject },
  actor: string,
): Promise<UserRow | undefined> {
  const rows = await tx.write<UserRow>(sql`
    WITH changed AS (
      UPDATE users u
      SET name = ${change.name},
          attributes = n.attributes,
          attributes_version = u.attributes_version + CASE WHEN u.attributes = n.attributes THEN 0 ELSE 1 END
      FROM (SELECT ${JSON.stringify(change.attributes)}::jsonb AS attributes) n
      WHERE u.id = ${id}
      RETURNING u.id, u.external_id, u.name, u.attributes, u.attributes_version, u.created_at
    ), versioned AS (
      INSERT INTO attribute_versions (user_id, version, at, attributes)
      SELECT c.id, c.attributes_version, date_trunc('milliseconds', clock_timestamp()), c.attributes
      FROM changed c
      WHERE c.attributes_version > 1
      ON CONFLICT ON CONSTRAINT attribute_versions_pkey DO NOTHING
      RETURNING user_id, at
    ), recorded AS (
      ${userEvents(sql`SELECT v.user_id, v.at FROM versioned v`, { cause: 'attributes', actor })}
    )
    SELECT id, external_id, name, attributes, attributes_version, created_at FROM changed`);
  return rows[0];
}

export function selectUsers(
  db: Db,
  page: { query: string | undefined; after: number; limit: number },
): Promise<(UserRow & Sized)[]> {
  const part = page.query ?? '';
  // External ids are kept under the collation "C", which knows the case of ASCII letters only.
  return db.query<UserRow & Sized>(sql`
    WITH found AS (
      SELECT u.id, u.external_id, u.name, u.attributes, u.attributes_version, u.created_at,
        octet_length(u.attributes::text) AS bytes
      FROM users u
      WHERE u.id > ${page.after}
        AND (${part} = '' OR strpos(lower(u.name), lower(${part})) > 0
          OR strpos(lower(u.external_id COLLATE "default"), lower(${part})) > 0)
      ORDER BY u.id
      LIMIT ${page.limit}
    ), sized AS (
      SELECT f.*, coalesce(sum(f.bytes) OVER (ORDER BY f.id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0)::bigint
        AS bytes_before
      FROM found f
    )
    SELECT s.id, s.external_id, s.name, s.attributes, s.attributes_version, s.created_at, s.bytes, s.bytes_before
    FROM sized s
    WHERE s.bytes_before <= ${pageBytes}
    ORDER BY s.id`);
}

/** Deletes the user and everything that says who they are. Their overrides have been removed before, with history. */
export async function deleteUser(tx: Tx, id: number): Promise<void> {
  await tx.write(sql`
    WITH keys AS (DELETE FROM user_keys k USING users u WHERE u.id = ${id} AND k.external_id = u.external_id),
      versions AS (DELETE FROM attribute_versions v WHERE v.user_id = ${id})
    DELETE FROM users u WHERE u.id = ${id}`);
}

/** A first start that was interrupted may have drawn id 1 and lost it, since sequences are not rolled back. */
export async function restartUserIds(tx: Tx): Promise<void> {
  await tx.write(sql`
    SELECT setval(pg_get_serial_sequence('users', 'id'), 1, false) WHERE NOT EXISTS (SELECT 1 FROM users)`);
}

/** Locks users for a change of what they have, in order of their ids, and returns how many there are. */
export async function lockUsers(tx: Tx, ids: readonly number[]): Promise<number> {
  const rows = await tx.query(sql`
    SELECT FROM users u WHERE u.id = ANY(${ids}::bigint[]) ORDER BY u.id FOR NO KEY UPDATE`);
  return rows.length;
}

/**
 * Registers users without name and attributes, set-based. `users` is a query with the columns `external_id` and `user_id`.
 * @returns how many of the external ids were taken.
 */
export async function registerAll(tx: Tx, users: Sql, by: UserEventsBy): Promise<number> {
  const rows = await tx.write<{ taken: number }>(sql`
    WITH asked AS MATERIALIZED (${users}), keyed AS (
      INSERT INTO user_keys (external_id, user_id) SELECT a.external_id, a.user_id FROM asked a
      ON CONFLICT ON CONSTRAINT user_keys_pkey DO NOTHING
      RETURNING external_id, user_id
    ), made AS (
      INSERT INTO users (id, external_id) OVERRIDING SYSTEM VALUE SELECT k.user_id, k.external_id FROM keyed k
      RETURNING id, created_at
    ), recorded AS (
      ${userEvents(sql`SELECT m.id AS user_id, m.created_at AS at FROM made m`, by)}
    )
    SELECT (SELECT count(*) FROM asked) - count(*) AS taken FROM made`);
  return rows[0]?.taken ?? 0;
}

/** Registers those of the external ids that are unknown. In their order, so that rivals do not wait for each other in a circle. */
export async function registerMissing(tx: Tx, externalIds: readonly string[], actor: string): Promise<void> {
  if (externalIds.length === 0) return;
  await registerAll(
    tx,
    sql`
      SELECT m.external_id, ${nextUserId} AS user_id
      FROM (
        SELECT e.external_id FROM unnest(${externalIds}::text[]) AS e(external_id)
        WHERE NOT EXISTS (SELECT FROM user_keys k WHERE k.external_id = e.external_id)
        ORDER BY e.external_id COLLATE "C"
      ) m`,
    { cause: 'attributes', actor },
  );
}

/** Locks users in order of their ids. The id of each, in the order asked; null where there is no such user. */
export async function lockUsersByRef(tx: Tx, refs: readonly UserRef[]): Promise<(number | null)[]> {
  const rows = await tx.query<{ id: number | null }>(sql`
    WITH asked AS MATERIALIZED (
      SELECT a.ord, coalesce(a.id, k.user_id) AS id
      FROM unnest(
        ${refs.map(({ id }) => id ?? null)}::bigint[], ${refs.map(({ externalId }) => externalId ?? null)}::text[]
      ) WITH ORDINALITY AS a(id, external_id, ord)
        LEFT JOIN user_keys k ON k.external_id = a.external_id
    ), locked AS MATERIALIZED (
      SELECT u.id FROM users u WHERE u.id = ANY(ARRAY(SELECT a.id FROM asked a)) ORDER BY u.id FOR NO KEY UPDATE
    )
    SELECT l.id FROM asked a LEFT JOIN locked l ON l.id = a.id ORDER BY a.ord`);
  return rows.map(({ id }) => id);
}

/** A user as a change of many finds them. */
export interface CurrentUser {
  readonly id: number;
  readonly external_id: string | null;
  readonly name: string | null;
  readonly attributes: JsonObject;
  readonly attributes_version: number;
}

/** In order of their ids, which is also the order in which they are locked. */
export function selectUsersById(tx: Tx, ids: readonly number[], { lock }: { lock: boolean }): Promise<CurrentUser[]> {
  return tx.query<CurrentUser>(sql`
    SELECT u.id, u.external_id, u.name, u.attributes, u.attributes_version FROM users u
    WHERE u.id = ANY(${ids}::bigint[])
    ORDER BY u.id
    ${lock ? sql`FOR NO KEY UPDATE` : sql``}`);
}

/** A user as a change of many leaves them. */
export interface UserState {
  readonly id: number;
  readonly externalId: string;
  readonly name: string | null;
  readonly attributes: string;
}

const unnested = (users: readonly UserState[]) => sql`unnest(
  ${users.map(({ id }) => id)}::bigint[], ${users.map(({ externalId }) => externalId)}::text[],
  ${users.map(({ name }) => name)}::text[], ${users.map(({ attributes }) => attributes)}::jsonb[]
) AS n(id, external_id, name, attributes)`;

/**
 * Registers users under ids that were drawn before, with a version of their attributes if they have any.
 * @returns the ids of those that were registered; the external ids of the others are taken.
 */
export async function insertUsers(tx: Tx, users: readonly UserState[], actor: string): Promise<number[]> {
  const rows = await tx.write<{ id: number }>(sql`
    WITH n AS MATERIALIZED (SELECT * FROM ${unnested(users)}), keyed AS (
      INSERT INTO user_keys (external_id, user_id) SELECT n.external_id, n.id FROM n
      ON CONFLICT ON CONSTRAINT user_keys_pkey DO NOTHING
      RETURNING user_id
    ), made AS (
      INSERT INTO users (id, external_id, name, attributes) OVERRIDING SYSTEM VALUE
      SELECT n.id, n.external_id, n.name, n.attributes FROM n JOIN keyed k ON k.user_id = n.id
      RETURNING id, attributes, attributes_version, created_at
    ), versioned AS (
      INSERT INTO attribute_versions (user_id, version, at, attributes)
      SELECT m.id, m.attributes_version, m.created_at, m.attributes FROM made m WHERE m.attributes <> '{}'
    ), recorded AS (
      ${userEvents(sql`SELECT m.id AS user_id, m.created_at AS at FROM made m`, { cause: 'import', actor })}
    )
    SELECT made.id FROM made`);
  return rows.map(({ id }) => id);
}

/** The users of those external ids that are taken. */
export async function selectIdsOf(tx: Tx, externalIds: readonly string[]): Promise<Map<string, number>> {
  const rows = await tx.query<{ external_id: string; user_id: number }>(sql`
    SELECT k.external_id, k.user_id FROM user_keys k WHERE k.external_id = ANY(${externalIds}::text[])`);
  return new Map(rows.map(({ external_id, user_id }) => [external_id, user_id]));
}

/** Changes those that differ, and returns how many did. */
export async function updateUsers(tx: Tx, users: readonly UserState[], actor: string): Promise<number> {
  const rows = await tx.write<{ count: number }>(sql`
    WITH changed AS (
      UPDATE users u
      SET name = n.name, attributes = n.attributes,
        attributes_version = u.attributes_version + CASE WHEN u.attributes = n.attributes THEN 0 ELSE 1 END
      FROM ${unnested(users)}
      WHERE u.id = n.id AND (u.name, u.attributes) IS DISTINCT FROM (n.name, n.attributes)
      RETURNING u.id, u.attributes, u.attributes_version
    ), versioned AS (
      INSERT INTO attribute_versions (user_id, version, at, attributes)
      SELECT c.id, c.attributes_version, date_trunc('milliseconds', clock_timestamp()), c.attributes
      FROM changed c
      WHERE c.attributes_version > 1
      ON CONFLICT ON CONSTRAINT attribute_versions_pkey DO NOTHING
      RETURNING user_id, at
    ), recorded AS (
      ${userEvents(sql`SELECT v.user_id, v.at FROM versioned v`, { cause: 'import', actor })}
    )
    SELECT count(*) AS count FROM changed`);
  return rows[0]?.count ?? 0;
}

/** How many of them {@link updateUsers} would change. */
export async function countDifferent(tx: Tx, users: readonly UserState[]): Promise<number> {
  const rows = await tx.query<{ count: number }>(sql`
    SELECT count(*) AS count FROM ${unnested(users)} JOIN users u ON u.id = n.id
    WHERE (u.name, u.attributes) IS DISTINCT FROM (n.name, n.attributes)`);
  return rows[0]?.count ?? 0;
}

/** Users that are still as an import left them. `changes` has their versions and names before and after it. */
const asLeft = sql`u.id = c.user_id AND u.attributes_version = c.version_after AND u.name IS NOT DISTINCT FROM c.name_after`;
/** Registered by the import, and nothing but that. An account or a membership, also a past one, makes a user worth keeping. */
const untouched = sql`c.version_before IS NULL
  AND NOT EXISTS (SELECT FROM history h WHERE h.user_id = u.id)
  AND NOT EXISTS (SELECT FROM memberships m WHERE m.user_id = u.id)
  AND NOT EXISTS (SELECT FROM accounts a WHERE a.user_id = u.id)`;

/** Gives users back the names and attributes they had before an import, unless they were changed since. */
export async function restoreUsers(tx: Tx, changes: Sql, ids: readonly number[], actor: string): Promise<number> {
  const rows = await tx.write<{ count: number }>(sql`
    WITH restored AS (
      UPDATE users u
      SET name = c.name_before, attributes = coalesce(v.attributes, '{}'),
        attributes_version = u.attributes_version + CASE WHEN u.attributes = coalesce(v.attributes, '{}') THEN 0 ELSE 1 END
      FROM (${changes}) c LEFT JOIN attribute_versions v ON v.user_id = c.user_id AND v.version = c.version_before
      WHERE ${asLeft} AND c.version_before IS NOT NULL AND u.id = ANY(${ids}::bigint[])
      RETURNING u.id, u.attributes, u.attributes_version
    ), versioned AS (
      INSERT INTO attribute_versions (user_id, version, at, attributes)
      SELECT r.id, r.attributes_version, date_trunc('milliseconds', clock_timestamp()), r.attributes
      FROM restored r
      ON CONFLICT ON CONSTRAINT attribute_versions_pkey DO NOTHING
      RETURNING user_id, at
    ), recorded AS (
      ${userEvents(sql`SELECT v.user_id, v.at FROM versioned v`, { cause: 'import', actor })}
    )
    SELECT count(*) AS count FROM restored`);
  return rows[0]?.count ?? 0;
}

/** Deletes users that an import registered and nothing has touched since. The transaction has locked them. */
export async function deleteUntouched(tx: Tx, changes: Sql, ids: readonly number[], actor: string): Promise<number> {
  const rows = await tx.write<{ count: number }>(sql`
    WITH deleted AS (
      DELETE FROM users u USING (${changes}) c
      WHERE ${asLeft} AND ${untouched} AND u.id = ANY(${ids}::bigint[])
      RETURNING u.id, u.external_id
    ), keys AS (
      DELETE FROM user_keys k USING deleted d WHERE k.external_id = d.external_id
    ), versions AS (
      DELETE FROM attribute_versions v USING deleted d WHERE v.user_id = d.id
    ), recorded AS (
      ${erasureEvents(sql`SELECT d.id, d.external_id FROM deleted d`, actor)}
    )
    SELECT count(*) AS count FROM deleted`);
  return rows[0]?.count ?? 0;
}

/** What {@link restoreUsers} and {@link deleteUntouched} would do now. */
export async function countRestorable(
  db: Db,
  changes: Sql,
): Promise<{ updated: number; removed: number; kept: number }> {
  const rows = await db.query<{ updated: number; removed: number; kept: number }>(sql`
    SELECT count(*) FILTER (WHERE t.is_restored) AS updated, count(*) FILTER (WHERE t.is_deleted) AS removed,
      count(*) FILTER (WHERE NOT t.is_restored AND NOT t.is_deleted) AS kept
    FROM (
      SELECT u.id IS NOT NULL AND c.version_before IS NOT NULL AS is_restored, u.id IS NOT NULL AND ${untouched} AS is_deleted
      FROM (${changes}) c LEFT JOIN users u ON ${asLeft}
    ) t`);
  return rows[0] ?? { updated: 0, removed: 0, kept: 0 };
}
