import sql, { empty, join, type Sql } from 'sql-template-tag';
import { Turns } from '../../../concurrency/turns.ts';
import type { Db } from '../../../postgres/database.ts';
import type { Json, JsonObject } from '../../../segmentation/conditions/json.ts';
import { momentSql } from '../moment.sql.ts';
import { stands } from '../stands.sql.ts';
import type { PageAt } from './members-of-segment.sql.ts';

/** The data needed to decide about a user in process. */
export interface UserToDecide {
  readonly id: number;
  readonly external_id: string | null;
  readonly attributes: JsonObject;
  /** In the form that `readOverrides` takes. */
  readonly overrides: string | null;
}

/** The overrides and attributes that a decision needs; all attributes if it names many. */
export interface Needed {
  readonly segmentIds: readonly number[];
  readonly fields: readonly string[] | undefined;
}

/** Users in the order of their ids, and the id to continue after; undefined at the end. */
export interface UsersToDecide {
  readonly users: UserToDecide[];
  readonly last: number | undefined;
}

export function selectUsersToDecide(db: Db, needed: Needed, page: PageAt): Promise<UsersToDecide> {
  return db.isDistributed ? usersOfRange(db, needed, page) : usersOfPage(db, needed, page);
}

async function usersOfPage(db: Db, needed: Needed, { after, limit, now }: PageAt): Promise<UsersToDecide> {
  const users = await selectUsersWhere(db, needed, now, sql`u.id > ${after} ORDER BY u.id LIMIT ${limit}`);
  return { users, last: users.length === limit ? users.at(-1)?.id : undefined };
}

/**
 * A range of ids instead of a number of users: with a limit, every shard would send as many users as the whole page has. Ids are
 * drawn in sequence, so few are missing; a gap is skipped at once.
 */
async function usersOfRange(db: Db, needed: Needed, { after, limit, now }: PageAt): Promise<UsersToDecide> {
  const to = after + limit;
  const users = await selectUsersWhere(db, needed, now, sql`u.id > ${after} AND u.id <= ${to} ORDER BY u.id`);
  if (users.length > 0) return { users, last: to };
  const next = await selectFirstAfter(db, to);
  return { users, last: next === null ? undefined : next - 1 };
}

async function selectFirstAfter(db: Db, id: number): Promise<number | null> {
  const rows = await db.query<{ next: number | null }>(sql`SELECT min(u.id) AS next FROM users u WHERE u.id > ${id}`);
  return rows[0]?.next ?? null;
}

/** Attributes come one by one, as text: a missing one is not null. */
async function selectUsersWhere(
  db: Db,
  { segmentIds, fields }: Needed,
  now: number,
  where: Sql,
): Promise<UserToDecide[]> {
  const attributes = fields?.map((name) => sql`, (u.attributes -> ${name}::text)::text`) ?? [sql`, u.attributes::text`];
  const overrides = sql`
    (SELECT array_agg(CASE m.mode WHEN 'include' THEN m.segment_id ELSE -m.segment_id END)::text
      FROM memberships m
      WHERE m.user_id = u.id AND m.segment_id = ANY(${segmentIds}::bigint[]) AND ${stands(sql`m`, momentSql(now))})`;
  const rows = await db.rows<
    [id: number, external_id: string | null, overrides: string | null, ...(string | null)[]]
  >(sql`
    SELECT u.id, u.external_id, ${segmentIds.length === 0 ? sql`NULL::text` : overrides}${attributes.length === 0 ? empty : join(attributes, ' ')}
    FROM users u
    WHERE ${where}`);
  // A thousand users may have sixteen megabytes of attributes.
  const turns = new Turns();
  const users: UserToDecide[] = [];
  for (const row of rows) {
    if (turns.isOver) await turns.pause();
    users.push({
      id: row[0],
      external_id: row[1],
      overrides: row[2],
      attributes: fields ? objectOf(fields, row) : (JSON.parse(row[3] ?? '{}') as JsonObject),
    });
  }
  return users;
}

const columnsBeforeFields = 3;

/** A count may run this a million times, so it is a loop that allocates only the object. */
function objectOf(names: readonly string[], row: readonly unknown[]): JsonObject {
  const object: Record<string, Json> = {};
  for (let i = 0; i < names.length; i++) {
    const [name, text] = [names[i], row[columnsBeforeFields + i]];
    if (name !== undefined && typeof text === 'string') object[name] = JSON.parse(text) as Json;
  }
  return object;
}
