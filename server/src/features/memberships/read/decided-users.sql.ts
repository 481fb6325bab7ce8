import sql, { empty, join } from 'sql-template-tag';
import type { Db } from '../../../postgres/database.ts';
import type { Json, JsonObject } from '../../../segmentation/conditions/json.ts';
import { stands } from '../stands.sql.ts';
import type { PageOfIds } from './members-of-segment.sql.ts';

/** What it takes to decide about a user in process. */
export interface UserToDecide {
  readonly id: number;
  readonly external_id: string | null;
  readonly attributes: JsonObject;
  /** As `readOverrides` takes them. */
  readonly overrides: string | null;
}

/** The overrides and attributes a decision needs; all attributes where it names many. */
export interface Needed {
  readonly segmentIds: readonly number[];
  readonly fields: readonly string[] | undefined;
}

/** Users in order of their ids. Attributes come one by one, as text: a missing one is no null. */
export async function selectUsersToDecide(
  db: Db,
  { segmentIds, fields }: Needed,
  { after, limit }: PageOfIds,
): Promise<UserToDecide[]> {
  const attributes = fields?.map((name) => sql`, (u.attributes -> ${name}::text)::text`) ?? [sql`, u.attributes::text`];
  const overrides = sql`
    (SELECT array_agg(CASE m.mode WHEN 'include' THEN m.segment_id ELSE -m.segment_id END)::text
      FROM memberships m
      WHERE m.user_id = u.id AND m.segment_id = ANY(${segmentIds}::bigint[]) AND ${stands(sql`m`)})`;
  const rows = await db.rows<
    [id: number, external_id: string | null, overrides: string | null, ...(string | null)[]]
  >(sql`
    SELECT u.id, u.external_id, ${segmentIds.length === 0 ? sql`NULL::text` : overrides}${attributes.length === 0 ? empty : join(attributes, ' ')}
    FROM users u
    WHERE u.id > ${after}
    ORDER BY u.id
    LIMIT ${limit}`);
  return rows.map((row) => ({
    id: row[0],
    external_id: row[1],
    overrides: row[2],
    attributes: fields ? objectOf(fields, row) : (JSON.parse(row[3] ?? '{}') as JsonObject),
  }));
}

const columnsBeforeFields = 3;

/** A count may run this a million times: a loop that allocates nothing but the object. */
function objectOf(names: readonly string[], row: readonly unknown[]): JsonObject {
  const object: Record<string, Json> = {};
  for (let i = 0; i < names.length; i++) {
    const [name, text] = [names[i], row[columnsBeforeFields + i]];
    if (name !== undefined && typeof text === 'string') object[name] = JSON.parse(text) as Json;
  }
  return object;
}
