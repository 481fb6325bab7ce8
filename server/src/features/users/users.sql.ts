import type { UserRef } from '@kohort/contract';
import sql, { type Sql } from 'sql-template-tag';
import type { Db, Tx } from '../../postgres/database.ts';
import type { JsonObject } from '../../segmentation/conditions/json.ts';
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

/** The id behind a reference, as a scalar subquery: external ids are looked up on their own, never joined. */
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

/** Also keeps everybody else from changing the user, or anything that hangs on them, until the transaction ends. */
export async function selectUserForUpdate(tx: Tx, ref: UserRef): Promise<UserRow | undefined> {
  const rows = await tx.query<UserRow>(sql`
    SELECT u.id, u.external_id, u.name, u.attributes, u.attributes_version, u.created_at
    FROM users u
    WHERE u.id = ${idOf(ref)}
    FOR UPDATE`);
  return rows[0];
}

/** Undefined when the external id is taken, by a committed user or by a rival that was quicker. */
export async function insertUser(db: Db, user: NewUser): Promise<number | undefined> {
  const rows = await db.write<{ id: number }>(sql`
    WITH fresh AS (
      SELECT nextval(pg_get_serial_sequence('users', 'id')) AS id
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
    )
    SELECT made.id FROM made`);
  return rows[0]?.id;
}

export async function updateUser(
  tx: Tx,
  id: number,
  change: { name: string | null; attributes: AnyObject },
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
    )
    SELECT id, external_id, name, attributes, attributes_version, created_at FROM changed`);
  return rows[0];
}

export function selectUsers(
  db: Db,
  page: { query: string | undefined; after: number; limit: number },
): Promise<UserRow[]> {
  const part = page.query ?? '';
  // External ids are kept under the collation "C", which knows the case of ASCII letters only.
  return db.query<UserRow>(sql`
    SELECT u.id, u.external_id, u.name, u.attributes, u.attributes_version, u.created_at
    FROM users u
    WHERE u.id > ${page.after}
      AND (${part} = '' OR strpos(lower(u.name), lower(${part})) > 0
        OR strpos(lower(u.external_id COLLATE "default"), lower(${part})) > 0)
    ORDER BY u.id
    LIMIT ${page.limit}`);
}

/** The user and everything that says who they are. Their overrides are taken away before, with history. */
export async function deleteUser(tx: Tx, id: number): Promise<void> {
  await tx.write(sql`
    WITH keys AS (DELETE FROM user_keys k USING users u WHERE u.id = ${id} AND k.external_id = u.external_id),
      versions AS (DELETE FROM attribute_versions v WHERE v.user_id = ${id})
    DELETE FROM users u WHERE u.id = ${id}`);
}
