import sql, { empty, join, raw, type Sql } from 'sql-template-tag';
import type { Db } from '../../../postgres/database.ts';
import type { PlannerFeature } from '../../../postgres/transaction.ts';
import { bucketSql } from '../../../segmentation/bucket.ts';
import type { Json, JsonObject } from '../../../segmentation/conditions/json.ts';
import { conditionSql } from '../../../segmentation/conditions/sql/compile.ts';
import type { Mode } from '../../../segmentation/decide.ts';
import { type Definition, type Definitions, inOrder, isList } from '../../../segmentation/definition.ts';
import { stands } from '../stands.sql.ts';

/** A statement carries at most 65,535 parameters; what stands around a rule needs a few. */
const MAX_PARAMETERS = 65_000;
/** Each referenced segment is one more join; past this many the users are streamed and decided in process. */
const MAX_REFERENCES = 24;

/** Of a segment that has just been filled PostgreSQL believes that it is small, and would gather and sort all of it for each page. */
export const pagesPlannerOff: readonly PlannerFeature[] = ['jit', 'bitmapscan'];

/**
 * The override of `u` in a segment. Of one side of a join the planner concludes nothing about the other when it is a range
 * that it knows: without the bound on both it would merge the two from the first user on, for each page again.
 */
const overrideOf = (membership: Sql, segmentId: number, after: number) =>
  sql`${membership}.user_id = u.id AND ${membership}.user_id > ${after} AND ${membership}.segment_id = ${segmentId} AND ${stands(membership)}`;
const key = sql`coalesce(u.external_id, u.id::text)`;

/** Who is in, as SQL over `users u`: the joins it needs for users past an id, and a boolean expression that is never null. */
export interface MemberSql {
  readonly joins: (after: number) => Sql;
  readonly rule: Sql;
}

/** Aliases are made of our own ids, which are numbers. */
function alias(kind: 'm' | 's', id: number): Sql {
  return raw(`${kind}${Math.trunc(id)}`);
}

function ruleSql({ percentage, salt, condition }: Definition): Sql | undefined {
  const parts: Sql[] = [];
  if (condition) {
    const said = conditionSql(condition, {
      attributes: sql`u.attributes`,
      inSegment: (id) => sql`coalesce(${alias('s', id)}.is_in, false)`,
    });
    if (!said) return undefined;
    parts.push(said);
  }
  if (percentage !== null) parts.push(sql`${bucketSql(sql`${salt}::text`, key)} < ${percentage}::float8`);
  return parts.length === 0
    ? sql`false`
    : join(
        parts.map((part) => sql`(${part})`),
        ' AND ',
      );
}

/**
 * The rule of a segment over sets: each segment that its condition names, at whatever remove, becomes a column of its own,
 * computed once per user. Undefined where SQL cannot say one of the conditions exactly, or not in one statement.
 */
export function memberSql(definitions: Definitions, definition: Definition): MemberSql | undefined {
  const referenced = inOrder(definitions.byId, [definition]).slice(0, -1);
  if (referenced.length > MAX_REFERENCES) return undefined;
  const columns: { m: Sql; id: number; column: Sql }[] = [];
  for (const one of referenced) {
    const rule = isList(one) ? sql`false` : ruleSql(one);
    if (!rule) return undefined;
    const [m, s] = [alias('m', one.id), alias('s', one.id)];
    // OFFSET 0 keeps the planner from copying the expression into every place that names it.
    const column = sql`
      CROSS JOIN LATERAL (
        SELECT CASE ${m}.mode WHEN 'include' THEN true WHEN 'exclude' THEN false ELSE ${rule} END AS is_in OFFSET 0
      ) ${s}`;
    columns.push({ m, id: one.id, column });
  }
  const joins = (after: number) =>
    columns.length === 0
      ? empty
      : join(
          columns.map(({ m, id, column }) => sql`LEFT JOIN memberships ${m} ON ${overrideOf(m, id, after)} ${column}`),
          '\n',
        );
  const rule = ruleSql(definition);
  if (!rule) return undefined;
  if (joins(0).values.length + rule.values.length > MAX_PARAMETERS) return undefined;
  return { joins, rule };
}

/** Which definitions are current for the moment that this transaction sees. */
export async function selectRevision(db: Db): Promise<number> {
  const rows = await db.query<{ revision: number }>(sql`SELECT d.revision FROM definitions d`);
  return rows[0]?.revision ?? 0;
}

export interface MemberRow {
  readonly id: number;
  readonly external_id: string | null;
  readonly name: string | null;
  readonly mode: Mode | null;
  readonly since: Date | null;
  readonly expires_at: Date | null;
}

export interface PageOfIds {
  readonly after: number;
  readonly limit: number;
}

/** The page is cut out of the memberships, in the order of their index, before their users are looked up. */
export function selectListMembers(db: Db, segmentId: number, { after, limit }: PageOfIds): Promise<MemberRow[]> {
  return db.query<MemberRow>(sql`
    SELECT m.user_id AS id, u.external_id, u.name, m.mode, m.since, m.expires_at
    FROM (
      SELECT m.user_id, m.mode, m.since, m.expires_at
      FROM memberships m
      WHERE m.segment_id = ${segmentId} AND m.user_id > ${after} AND m.mode = 'include' AND ${stands(sql`m`)}
      ORDER BY m.user_id
      LIMIT ${limit}
    ) m LEFT JOIN users u ON u.id = m.user_id AND u.id > ${after}
    ORDER BY m.user_id`);
}

export async function countListMembers(db: Db, segmentId: number): Promise<number> {
  const rows = await db.query<{ count: number }>(sql`
    SELECT count(*) AS count FROM memberships m
    WHERE m.segment_id = ${segmentId} AND m.mode = 'include' AND ${stands(sql`m`)}`);
  return rows[0]?.count ?? 0;
}

const ownOverride = (segmentId: number, after = 0) =>
  sql`LEFT JOIN memberships m ON ${overrideOf(sql`m`, segmentId, after)}`;
const isIn = (rule: Sql) => sql`CASE m.mode WHEN 'include' THEN true WHEN 'exclude' THEN false ELSE ${rule} END`;

export function selectMembers(
  db: Db,
  segmentId: number,
  member: MemberSql,
  { after, limit }: PageOfIds,
): Promise<MemberRow[]> {
  return db.query<MemberRow>(sql`
    SELECT u.id, u.external_id, u.name, m.mode, m.since, m.expires_at
    FROM users u ${ownOverride(segmentId, after)} ${member.joins(after)}
    WHERE u.id > ${after} AND ${isIn(member.rule)}
    ORDER BY u.id
    LIMIT ${limit}`);
}

export async function countMembers(db: Db, segmentId: number, member: MemberSql): Promise<number> {
  const rows = await db.query<{ count: number }>(sql`
    SELECT count(*) AS count
    FROM users u ${ownOverride(segmentId)} ${member.joins(0)}
    WHERE ${isIn(member.rule)}`);
  return rows[0]?.count ?? 0;
}

export interface SampleRow {
  readonly id: number;
  readonly external_id: string | null;
  readonly name: string | null;
  readonly attributes: JsonObject;
  readonly created_at: Date;
}

export async function countMatches(db: Db, { joins, rule }: MemberSql): Promise<{ count: number; total: number }> {
  const rows = await db.query<{ count: number; total: number }>(sql`
    SELECT count(*) FILTER (WHERE ${rule}) AS count, count(*) AS total FROM users u ${joins(0)}`);
  return rows[0] ?? { count: 0, total: 0 };
}

/** Any few of those who match: whichever are found first. */
export function sampleMatches(db: Db, { joins, rule }: MemberSql, limit: number): Promise<SampleRow[]> {
  return db.query<SampleRow>(sql`
    SELECT u.id, u.external_id, u.name, u.attributes, u.created_at FROM users u ${joins(0)} WHERE ${rule} LIMIT ${limit}`);
}

/** What a user has to show to be decided about in process. */
export interface UserToDecide {
  readonly id: number;
  readonly external_id: string | null;
  readonly attributes: JsonObject;
  /** As `readOverrides` takes them. */
  readonly overrides: string | null;
}

/** What the decision needs: the overrides in these segments, and these attributes, or all where there are many. */
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

const BEFORE_FIELDS = 3;

/** A million of these make a count: a loop, and nothing made that is not kept. */
function objectOf(names: readonly string[], row: readonly unknown[]): JsonObject {
  const object: Record<string, Json> = {};
  for (let i = 0; i < names.length; i++) {
    const [name, text] = [names[i], row[BEFORE_FIELDS + i]];
    if (name !== undefined && typeof text === 'string') object[name] = JSON.parse(text) as Json;
  }
  return object;
}

/**
 * Those who were decided to be members, as a page shows them; the ids in order. Their range keeps the statement from going
 * through all users, and the limit has each override looked up by itself.
 */
export async function selectDecided(db: Db, segmentId: number, ids: readonly number[]): Promise<MemberRow[]> {
  const [first, last] = [ids[0], ids.at(-1)];
  if (first === undefined || last === undefined) return [];
  return db.query<MemberRow>(sql`
    SELECT u.id, u.external_id, u.name, m.mode, m.since, m.expires_at
    FROM users u
      LEFT JOIN LATERAL (
        SELECT m.mode, m.since, m.expires_at FROM memberships m WHERE ${overrideOf(sql`m`, segmentId, 0)} LIMIT 1
      ) m ON true
    WHERE u.id BETWEEN ${first} AND ${last} AND u.id = ANY(${ids}::bigint[])
    ORDER BY u.id`);
}

export function selectSample(db: Db, ids: readonly number[]): Promise<SampleRow[]> {
  return db.query<SampleRow>(sql`
    SELECT u.id, u.external_id, u.name, u.attributes, u.created_at
    FROM users u
    WHERE u.id = ANY(${ids}::bigint[])
    ORDER BY u.id`);
}
