import type { UserRef } from '@kohort/contract';
import sql, { type Sql } from 'sql-template-tag';
import type { Tx } from '../../postgres/database.ts';
import { bigintArray, numbersOf } from '../../postgres/statement.ts';
import type { JsonObject } from '../../segmentation/conditions/json.ts';
import { type UserEventsBy, userEvents } from '../outbox/outbox.ts';
import { nextUserId, selectIdsByRef } from './ids.sql.ts';
import { lockRows, takeUserTurns } from './locks.sql.ts';
import { versionsOfChanged } from './users.sql.ts';
import { asRelation, drawIdsOfMissing } from './users-on-workers.sql.ts';

/** Locks users for a change of their data, in the order of their ids, so that transactions cannot deadlock. Returns how many there are. */
export async function lockUsers(tx: Tx, ids: readonly number[]): Promise<number> {
  if (tx.isDistributed) return (await lockRows(tx, ids)).size;
  const rows = await tx.query(sql`
    SELECT FROM users u WHERE u.id = ANY(${ids}::bigint[]) ORDER BY u.id FOR NO KEY UPDATE`);
  return rows.length;
}

/**
 * Registers users without name or attributes, set-based. `users` is a query with the columns `external_id` and `user_id`.
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

/** Registers the unknown external ids among these, in order, so that concurrent calls cannot deadlock. */
export async function registerMissing(tx: Tx, externalIds: readonly string[], actor: string): Promise<void> {
  if (externalIds.length === 0) return;
  if (tx.isDistributed) {
    const users = await drawIdsOfMissing(tx, externalIds);
    if (users.length > 0) await registerAll(tx, asRelation(users), { cause: 'attributes', actor });
    return;
  }
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

/** Locks users in the order of their ids. Returns the ids in the order asked; null if there is no such user. */
export async function lockUsersByRef(tx: Tx, refs: readonly UserRef[]): Promise<(number | null)[]> {
  if (tx.isDistributed) {
    const ids = await selectIdsByRef(tx, refs);
    const known = ids.filter((id) => id !== undefined);
    await takeUserTurns(tx, known);
    const locked = await lockRows(tx, known);
    return ids.map((id) => (id !== undefined && locked.has(id) ? id : null));
  }
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

/** A user before a bulk change. */
export interface CurrentUser {
  readonly id: number;
  readonly external_id: string | null;
  readonly name: string | null;
  readonly attributes: JsonObject;
  readonly attributes_version: number;
}

/** Users in the order of their ids, which is also the order of their locks. */
export async function selectUsersById(
  tx: Tx,
  ids: readonly number[],
  { lock }: { lock: boolean },
): Promise<CurrentUser[]> {
  if (lock && tx.isDistributed) {
    await lockRows(tx, ids);
    return selectUsersById(tx, ids, { lock: false });
  }
  return tx.query<CurrentUser>(sql`
    SELECT u.id, u.external_id, u.name, u.attributes, u.attributes_version FROM users u
    WHERE u.id = ANY(${ids}::bigint[])
    ORDER BY u.id
    ${lock ? sql`FOR NO KEY UPDATE` : sql``}`);
}

/** A user after a bulk change. */
export interface UserState {
  readonly id: number;
  readonly externalId: string;
  readonly name: string | null;
  readonly attributes: string;
}

const unnested = (users: readonly UserState[]) => sql`unnest(
  ${bigintArray(users, ({ id }) => id)}::bigint[], ${users.map(({ externalId }) => externalId)}::text[],
  ${users.map(({ name }) => name)}::text[], ${users.map(({ attributes }) => attributes)}::jsonb[]
) AS n(id, external_id, name, attributes)`;

/** Users who were written, with the version of their attributes from then on. */
export type WrittenUsers = ReadonlyMap<number, number>;

/** As two texts: a row for each user costs more than what it brings. */
const idsAndVersions = sql`array_agg(w.id)::text AS ids, array_agg(w.attributes_version)::text AS versions`;

function writtenUsers([row]: readonly {
  readonly ids: string | null;
  readonly versions: string | null;
}[]): WrittenUsers {
  const versions = numbersOf(row?.versions ?? null);
  return new Map(numbersOf(row?.ids ?? null).map((id, i) => [id, versions[i] ?? 0]));
}

/**
 * Registers users under ids drawn earlier, with a version of their attributes if they have any.
 * @returns those that were registered; the external ids of the others are taken.
 */
export async function insertUsers(tx: Tx, users: readonly UserState[], actor: string): Promise<WrittenUsers> {
  const rows = await tx.write<{ ids: string | null; versions: string | null }>(sql`
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
    SELECT ${idsAndVersions} FROM made w`);
  return writtenUsers(rows);
}

/** Changes the users that differ, and returns them. */
export async function updateUsers(tx: Tx, users: readonly UserState[], actor: string): Promise<WrittenUsers> {
  const rows = await tx.write<{ ids: string | null; versions: string | null }>(sql`
    WITH changed AS (
      UPDATE users u
      SET name = n.name, attributes = n.attributes,
        attributes_version = u.attributes_version + CASE WHEN u.attributes = n.attributes THEN 0 ELSE 1 END
      FROM ${unnested(users)}
      WHERE u.id = n.id AND (u.name, u.attributes) IS DISTINCT FROM (n.name, n.attributes)
      RETURNING u.id, u.attributes, u.attributes_version
    ), versioned AS (
      ${versionsOfChanged}
    ), recorded AS (
      ${userEvents(sql`SELECT v.user_id, v.at FROM versioned v`, { cause: 'import', actor })}
    )
    SELECT ${idsAndVersions} FROM changed w`);
  return writtenUsers(rows);
}

/** How many of them {@link updateUsers} would change. */
export async function countDifferent(tx: Tx, users: readonly UserState[]): Promise<number> {
  const rows = await tx.query<{ count: number }>(sql`
    SELECT count(*) AS count FROM ${unnested(users)} JOIN users u ON u.id = n.id
    WHERE (u.name, u.attributes) IS DISTINCT FROM (n.name, n.attributes)`);
  return rows[0]?.count ?? 0;
}
