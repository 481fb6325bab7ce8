import sql, { type Sql } from 'sql-template-tag';
import type { Db, Tx } from '../../postgres/database.ts';
import { erasureEvents, userEvents } from '../outbox/outbox.ts';

/** Users unchanged since an import. `changes` has their versions and names before and after it. */
const asLeft = sql`u.id = c.user_id AND u.attributes_version = c.version_after AND u.name IS NOT DISTINCT FROM c.name_after`;
/** Registered by the import and untouched since. A user with an account or any membership, even a past one, is kept. */
const untouched = sql`c.version_before IS NULL AND NOT c.has_account
  AND NOT EXISTS (SELECT 1 FROM history h WHERE h.user_id = u.id)
  AND NOT EXISTS (SELECT 1 FROM memberships m WHERE m.user_id = u.id)`;
/** A CTE also for the sake of Citus, which does not join a table of the coordinator with those of its workers. */
const changesOf = (changes: Sql): Sql => sql`
  c AS MATERIALIZED (
    SELECT c.user_id, c.version_before, c.version_after, c.name_before, c.name_after,
      EXISTS (SELECT 1 FROM accounts a WHERE a.user_id = c.user_id) AS has_account
    FROM (${changes}) c
  )`;
const ofIds = (changes: Sql, ids: readonly number[]): Sql =>
  sql`SELECT i.* FROM (${changes}) i WHERE i.user_id = ANY(${ids}::bigint[])`;

/** Restores the names and attributes that users had before an import, unless they were changed since. */
export async function restoreUsers(tx: Tx, changes: Sql, ids: readonly number[], actor: string): Promise<number> {
  const rows = await tx.write<{ count: number }>(sql`
    WITH ${changesOf(ofIds(changes, ids))}, v AS MATERIALIZED (
      SELECT v.user_id, v.version, v.attributes FROM attribute_versions v JOIN c ON c.user_id = v.user_id
      WHERE v.version = c.version_before
    ), b AS MATERIALIZED (
      SELECT c.user_id, c.version_after, c.name_before, c.name_after, coalesce(v.attributes, '{}') AS attributes
      FROM c LEFT JOIN v ON v.user_id = c.user_id
      WHERE c.version_before IS NOT NULL
    ), restored AS (
      UPDATE users u
      SET name = c.name_before, attributes = c.attributes,
        attributes_version = u.attributes_version + CASE WHEN u.attributes = c.attributes THEN 0 ELSE 1 END
      FROM b c
      WHERE ${asLeft} AND u.id = ANY(${ids}::bigint[])
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

/** Deletes users that an import registered and that are untouched since. The transaction has locked them. */
export async function deleteUntouched(tx: Tx, changes: Sql, ids: readonly number[], actor: string): Promise<number> {
  const rows = await tx.write<{ count: number }>(sql`
    WITH ${changesOf(ofIds(changes, ids))}, deleted AS (
      DELETE FROM users u USING c
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

/** Counts what {@link restoreUsers} and {@link deleteUntouched} would do now. */
export async function countRestorable(
  db: Db,
  changes: Sql,
): Promise<{ updated: number; removed: number; kept: number }> {
  const rows = await db.query<{ updated: number; removed: number; all: number }>(sql`
    WITH ${changesOf(changes)}, restored AS MATERIALIZED (
      SELECT u.id FROM c JOIN users u ON ${asLeft} WHERE c.version_before IS NOT NULL
    ), deleted AS MATERIALIZED (
      SELECT u.id FROM c JOIN users u ON ${asLeft} WHERE ${untouched}
    )
    SELECT (SELECT count(*) FROM restored) AS updated, (SELECT count(*) FROM deleted) AS removed, (SELECT count(*) FROM c) AS all`);
  const { updated, removed, all } = rows[0] ?? { updated: 0, removed: 0, all: 0 };
  return { updated, removed, kept: all - updated - removed };
}
