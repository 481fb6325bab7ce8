import sql, { empty, join, raw, type Sql } from 'sql-template-tag';
import { bucketSql } from '../../../segmentation/bucket.ts';
import { conditionSql } from '../../../segmentation/conditions/sql/compile.ts';
import { type Definition, type Definitions, inOrder, isList } from '../../../segmentation/definition.ts';
import { stands } from '../stands.sql.ts';

/** A statement carries at most 65,535 parameters; the statement around a rule needs a few. */
const maxParameters = 65_000;
/** Each referenced segment is one more join; past this many the users are streamed and decided in process. */
const maxReferences = 24;

/**
 * The override of `u` in a segment. The planner derives no range for one side of a join from the range of the other: without
 * the bound on both it would merge the two from the first user on, for every page again.
 */
export const overrideOf = (membership: Sql, segmentId: number, after: number) =>
  sql`${membership}.user_id = u.id AND ${membership}.user_id > ${after} AND ${membership}.segment_id = ${segmentId} AND ${stands(membership)}`;
const key = sql`coalesce(u.external_id, u.id::text)`;

/** Who is in, as SQL over `users u`: the joins it needs for users past an id, and a boolean expression that is never null. */
export interface MemberSql {
  readonly joins: (after: number) => Sql;
  readonly rule: Sql;
}

/** Aliases are built from our own ids, which are numbers. */
function alias(kind: 'm' | 's', id: number): Sql {
  return raw(`${kind}${Math.trunc(id)}`);
}

function ruleSql({ percentage, salt, condition }: Definition): Sql | undefined {
  const parts: Sql[] = [];
  if (condition) {
    const expression = conditionSql(condition, {
      attributes: sql`u.attributes`,
      inSegment: (id) => sql`coalesce(${alias('s', id)}.is_in, false)`,
    });
    if (!expression) return undefined;
    parts.push(expression);
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
 * The rule of a segment over sets. Each segment that its condition names, directly or not, becomes a column computed once per
 * user. Undefined where SQL cannot express one of the conditions exactly, or not in one statement.
 */
export function memberSql(definitions: Definitions, definition: Definition): MemberSql | undefined {
  const referenced = inOrder(definitions.byId, [definition]).slice(0, -1);
  if (referenced.length > maxReferences) return undefined;
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
  if (joins(0).values.length + rule.values.length > maxParameters) return undefined;
  return { joins, rule };
}

export const ownOverride = (segmentId: number, after = 0) =>
  sql`LEFT JOIN memberships m ON ${overrideOf(sql`m`, segmentId, after)}`;
export const isIn = (rule: Sql) => sql`CASE m.mode WHEN 'include' THEN true WHEN 'exclude' THEN false ELSE ${rule} END`;
