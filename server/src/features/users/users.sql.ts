import type { UserRef } from '@kohort/contract';
import sql, { type Sql } from 'sql-template-tag';
import type { Sized } from '../../paging/cursors.ts';
import type { Db, Transactor, Tx } from '../../postgres/database.ts';
import { inForm } from '../../postgres/forms.ts';
import type { JsonObject } from '../../segmentation/conditions/json.ts';
import { userEvents } from '../outbox/outbox.ts';
import { nextUserId, selectIdsByRef } from './ids.sql.ts';
import { takeUserTurns } from './locks.sql.ts';
import type { AnyObject } from './merge-patch.ts';
import { deleteOnWorkers, insertOnWorkers, updateOnWorker } from './users-on-workers.sql.ts';

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

/** The id of a reference, as a scalar subquery: external ids are looked up separately, never joined. */
function idOf(ref: UserRef): Sql {
  return ref.id === undefined
    ? sql`(SELECT k.user_id FROM user_keys k WHERE k.external_id = ${ref.externalId})`
    : sql`${ref.id}::bigint`;
}

export async function selectUser(db: Db, ref: UserRef): Promise<UserRow | undefined> {
  return inForm(db, {
    single: () => selectUserBy(db, ref),
    distributed: async () => {
      const [id] = await selectIdsByRef(db, [ref]);
      return id === undefined ? undefined : selectUserBy(db, { id });
    },
  });
}

async function selectUserBy(db: Db, ref: UserRef): Promise<UserRow | undefined> {
  const rows = await db.query<UserRow>(sql`
    SELECT u.id, u.external_id, u.name, u.attributes, u.attributes_version, u.created_at
    FROM users u
    WHERE u.id = ${idOf(ref)}`);
  return rows[0];
}

/** Locks the user and everything of theirs against changes until the transaction ends. */
export async function selectUserForUpdate(tx: Tx, ref: UserRef): Promise<UserRow | undefined> {
  if (!tx.isDistributed) return lockUser(tx, ref);
  const [id] = await selectIdsByRef(tx, [ref]);
  if (id === undefined) return undefined;
  await takeUserTurns(tx, [id]);
  return lockUser(tx, { id });
}

async function lockUser(tx: Tx, ref: UserRef): Promise<UserRow | undefined> {
  const rows = await tx.query<UserRow>(sql`
    SELECT u.id, u.external_id, u.name, u.attributes, u.attributes_version, u.created_at
    FROM users u
    WHERE u.id = ${idOf(ref)}
    FOR UPDATE`);
  return rows[0];
}

/** Undefined if the external id is taken, either before or by a concurrent transaction. */
export function insertUser(db: Transactor, user: NewUser, actor: string): Promise<number | undefined> {
  return inForm(db, {
    single: () => insertInOneStatement(db, user, actor),
    distributed: () => db.transaction((tx) => insertOnWorkers(tx, user, actor)),
  });
}

async function insertInOneStatement(db: Db, user: NewUser, actor: string): Promise<number | undefined> {
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

/** Records the attributes of the users in a CTE `changed` whose version is new. */
export const versionsOfChanged = sql`INSERT INTO attribute_versions (user_id, version, at, attributes)
      SELECT c.id, c.attributes_version, date_trunc('milliseconds', clock_timestamp()), c.attributes
      FROM changed c
      WHERE c.attributes_version > 1
      ON CONFLICT ON CONSTRAINT attribute_versions_pkey DO NOTHING
      RETURNING user_id, at`;

export async function updateUser(
  tx: Tx,
  id: number,
  change: { name: string | null; attributes: AnyObject },
  actor: string,
): Promise<UserRow | undefined> {
  if (tx.isDistributed) return updateOnWorker(tx, id, change, actor);
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
      ${versionsOfChanged}
    ), recorded AS (
      ${userEvents(sql`SELECT v.user_id, v.at FROM versioned v`, { cause: 'attributes', actor })}
    )
    SELECT id, external_id, name, attributes, attributes_version, created_at FROM changed`);
  return rows[0];
}

/** Less than of other pages: attributes are parsed and serialised in one turn of the event loop. */
export const userPageBytes = 1024 * 1024;

export function selectUsers(
  db: Db,
  page: { query: string | undefined; after: number; limit: number },
): Promise<(UserRow & Sized)[]> {
  const part = page.query ?? '';
  // External ids have the collation "C", which folds the case of ASCII letters only. Citus leaves COLLATE "default" out of what it
  // sends to its workers; a text out of JSON has that collation by itself.
  const externalId = db.isDistributed ? sql`to_jsonb(u.external_id) #>> '{}'` : sql`u.external_id COLLATE "default"`;
  return db.query<UserRow & Sized>(sql`
    WITH found AS (
      SELECT u.id, u.external_id, u.name, u.attributes, u.attributes_version, u.created_at,
        octet_length(u.attributes::text) AS bytes
      FROM users u
      WHERE u.id > ${page.after}
        AND (${part} = '' OR strpos(lower(u.name), lower(${part})) > 0
          OR strpos(lower(${externalId}), lower(${part})) > 0)
      ORDER BY u.id
      LIMIT ${page.limit}
    ), sized AS (
      SELECT f.*, coalesce(sum(f.bytes) OVER (ORDER BY f.id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0)::bigint
        AS bytes_before
      FROM found f
    )
    SELECT s.id, s.external_id, s.name, s.attributes, s.attributes_version, s.created_at, s.bytes, s.bytes_before
    FROM sized s
    WHERE s.bytes_before <= ${userPageBytes}
    ORDER BY s.id`);
}

/** Deletes the user and all identifying data. Their overrides were removed before, with history. */
export async function deleteUser(tx: Tx, id: number): Promise<void> {
  if (tx.isDistributed) return deleteOnWorkers(tx, id);
  await tx.write(sql`
    WITH keys AS (DELETE FROM user_keys k USING users u WHERE u.id = ${id} AND k.external_id = u.external_id),
      versions AS (DELETE FROM attribute_versions v WHERE v.user_id = ${id})
    DELETE FROM users u WHERE u.id = ${id}`);
}

/** An interrupted first start may have drawn id 1 and lost it, since sequences are not rolled back. */
export async function restartUserIds(tx: Tx): Promise<void> {
  await tx.write(sql`
    SELECT setval(pg_get_serial_sequence('users', 'id'), 1, false) WHERE NOT EXISTS (SELECT 1 FROM users)`);
}
