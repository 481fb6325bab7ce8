import type { UserRef } from '@kohort/contract';
import sql from 'sql-template-tag';
import type { Db } from '../../postgres/database.ts';

/** Draws an id. Ids that are drawn and not used are lost. */
export const nextUserId = sql`nextval(pg_get_serial_sequence('users', 'id'))`;

/** The ids of users by external id; unknown ones are missing. */
export async function selectIdsOf(db: Db, externalIds: readonly string[]): Promise<Map<string, number>> {
  const rows = await db.query<{ external_id: string; user_id: number }>(sql`
    SELECT k.external_id, k.user_id FROM user_keys k WHERE k.external_id = ANY(${externalIds}::text[])`);
  return new Map(rows.map(({ external_id, user_id }) => [external_id, user_id]));
}

/**
 * The ids behind references, in the order asked; undefined for an external id of no user. For a distributed database, where keys
 * and users are not on the same workers.
 */
export async function selectIdsByRef(db: Db, refs: readonly UserRef[]): Promise<(number | undefined)[]> {
  const externalIds = refs.flatMap(({ externalId }) => externalId ?? []);
  const found = externalIds.length === 0 ? new Map<string, number>() : await selectIdsOf(db, externalIds);
  return refs.map(({ id, externalId }) => id ?? (externalId === undefined ? undefined : found.get(externalId)));
}

/** The names of a user. */
export interface Person {
  readonly id: number;
  readonly external_id: string | null;
  readonly name: string | null;
}

/**
 * The existing users among these. Citus would run a join with a page as a scan of all users, so they are looked up in a separate
 * statement.
 */
export async function selectPeople(db: Db, ids: readonly number[]): Promise<Map<number, Person>> {
  if (ids.length === 0) return new Map();
  const rows = await db.query<Person>(sql`
    SELECT u.id, u.external_id, u.name FROM users u WHERE u.id = ANY(${ids}::bigint[])`);
  return new Map(rows.map((row) => [row.id, row]));
}
