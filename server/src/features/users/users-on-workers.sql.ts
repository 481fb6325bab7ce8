import sql, { type Sql } from 'sql-template-tag';
import type { Tx } from '../../postgres/database.ts';
import { userEvents } from '../outbox/outbox.ts';
import { nextUserId, selectIdsOf } from './ids.sql.ts';
import type { NewUser, UserRow } from './users.sql.ts';

/*
 * The statements of `users.sql.ts` that write several tables at once, for a distributed database: one table each, since keys,
 * users and the outbox are on different nodes. Ids and times are drawn on the coordinator and passed in as values.
 */

async function drawId(tx: Tx): Promise<{ id: number; now: Date }> {
  const rows = await tx.query<{ id: number; now: Date }>(sql`
    SELECT ${nextUserId} AS id, date_trunc('milliseconds', clock_timestamp()) AS now`);
  if (!rows[0]) throw new Error('the database draws no id');
  return rows[0];
}

async function selectClock(tx: Tx): Promise<Date> {
  const rows = await tx.query<{ now: Date }>(sql`SELECT date_trunc('milliseconds', clock_timestamp()) AS now`);
  if (!rows[0]) throw new Error('the database reports no time');
  return rows[0].now;
}

async function recordUser(tx: Tx, id: number, at: Date, actor: string): Promise<void> {
  await tx.write(
    userEvents(sql`SELECT ${id}::bigint AS user_id, ${at}::timestamptz AS at`, { cause: 'attributes', actor }),
  );
}

/** False if this version exists already. */
async function insertVersion(
  tx: Tx,
  version: { userId: number; version: number; at: Date; attributes: string },
): Promise<boolean> {
  const rows = await tx.write(sql`
    INSERT INTO attribute_versions (user_id, version, at, attributes)
    VALUES (${version.userId}, ${version.version}, ${version.at}, ${version.attributes}::jsonb)
    ON CONFLICT ON CONSTRAINT attribute_versions_pkey DO NOTHING
    RETURNING user_id`);
  return rows.length > 0;
}

export async function insertOnWorkers(
  tx: Tx,
  { external_id, name, attributes }: NewUser,
  actor: string,
): Promise<number | undefined> {
  if (external_id !== null && (await selectIdsOf(tx, [external_id])).size > 0) return undefined;
  const { id, now } = await drawId(tx);
  if (external_id !== null) {
    const keyed = await tx.write(sql`
      INSERT INTO user_keys (external_id, user_id) VALUES (${external_id}, ${id})
      ON CONFLICT ON CONSTRAINT user_keys_pkey DO NOTHING
      RETURNING user_id`);
    if (keyed.length === 0) return undefined;
  }
  const text = JSON.stringify(attributes);
  await tx.write(sql`
    INSERT INTO users (id, external_id, name, attributes, created_at) OVERRIDING SYSTEM VALUE
    VALUES (${id}, ${external_id}, ${name}, ${text}::jsonb, ${now})`);
  if (Object.keys(attributes).length > 0) {
    await insertVersion(tx, { userId: id, version: 1, at: now, attributes: text });
  }
  await recordUser(tx, id, now, actor);
  return id;
}

export async function updateOnWorker(
  tx: Tx,
  id: number,
  { name, attributes }: Pick<NewUser, 'name' | 'attributes'>,
  actor: string,
): Promise<UserRow | undefined> {
  const text = JSON.stringify(attributes);
  const [changed] = await tx.write<UserRow>(sql`
    UPDATE users u
    SET name = ${name}, attributes = ${text}::jsonb,
      attributes_version = u.attributes_version + CASE WHEN u.attributes = ${text}::jsonb THEN 0 ELSE 1 END
    WHERE u.id = ${id}
    RETURNING u.id, u.external_id, u.name, u.attributes, u.attributes_version, u.created_at`);
  if (!changed || changed.attributes_version === 1) return changed;
  const at = await selectClock(tx);
  const version = { userId: id, version: changed.attributes_version, at, attributes: text };
  if (await insertVersion(tx, version)) await recordUser(tx, id, at, actor);
  return changed;
}

export async function deleteOnWorkers(tx: Tx, id: number): Promise<void> {
  const [user] = await tx.query<{ external_id: string | null }>(sql`
    SELECT u.external_id FROM users u WHERE u.id = ${id}`);
  if (user?.external_id) await tx.write(sql`DELETE FROM user_keys k WHERE k.external_id = ${user.external_id}`);
  await tx.write(sql`DELETE FROM attribute_versions v WHERE v.user_id = ${id}`);
  await tx.write(sql`DELETE FROM users u WHERE u.id = ${id}`);
}

export interface Registration {
  readonly externalId: string;
  readonly id: number;
}

/** Draws an id for each unknown external id, in their order. */
export async function drawIdsOfMissing(tx: Tx, externalIds: readonly string[]): Promise<Registration[]> {
  const taken = await selectIdsOf(tx, externalIds);
  const missing = externalIds.filter((externalId) => !taken.has(externalId)).sort();
  const rows = await tx.query<{ id: number }>(sql`
    SELECT ${nextUserId} AS id FROM generate_series(1, ${missing.length}::int)`);
  return missing.flatMap((externalId, i) => (rows[i] ? [{ externalId, id: rows[i].id }] : []));
}

/** The users as a relation with the columns external_id and user_id. */
export function asRelation(users: readonly Registration[]): Sql {
  return sql`
    SELECT r.external_id, r.user_id
    FROM unnest(${users.map(({ externalId }) => externalId)}::text[], ${users.map(({ id }) => id)}::bigint[])
      AS r(external_id, user_id)`;
}
