import sql, { empty, join, raw, type Sql } from 'sql-template-tag';
import { bucketSql } from '../../../segmentation/bucket.ts';
import { conditionSql } from '../../../segmentation/conditions/sql/compile.ts';
import { type Definition, type Definitions, inOrder, isActive, isList } from '../../../segmentation/definition.ts';
import { percentageAt } from '../../../segmentation/share.ts';
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

/** A segment has no members before its start and after its end. */
export const nobody: MemberSql = { joins: () => empty, rule: sql`false` };

/** Aliases are built from our own ids, which are numbers. */
function alias(kind: 'm' | 's' | 'o', id: number): Sql {
  return raw(`${kind}${Math.trunc(id)}`);
}

/** The key of the bucket: the user's own, or what stands at a path of the attributes; null where that is no text or number. */
function keySql({ bucketBy }: Definition): Sql {
  if (bucketBy === null) return key;
  const value = sql`(u.attributes #> ${bucketBy}::text[])`;
  const found = sql`CASE jsonb_typeof(${value}) WHEN 'string' THEN ${value} #>> '{}' WHEN 'number' THEN kohort_number_text(${value}::numeric) END`;
  // `#>` would take a name that is a number for an index of an array; the key stands in documents only.
  const arrays = bucketBy
    .slice(1)
    .flatMap((name, i) =>
      /^-?[0-9]+$/.test(name) ? [sql`jsonb_typeof(u.attributes #> ${bucketBy.slice(0, i + 1)}::text[]) = 'array'`] : [],
    );
  return arrays.length === 0 ? found : sql`CASE WHEN ${join(arrays, ' OR ')} THEN NULL ELSE ${found} END`;
}

function shareSql(definition: Definition, now: number): Sql[] {
  const { share } = definition;
  if (share === null) return [];
  const bucket = bucketSql(sql`${share.salt}::text`, sql`(${keySql(definition)})`);
  if (share.kind === 'layer') {
    return [sql`coalesce(${bucket} >= ${share.from}::float8 AND ${bucket} < ${share.to}::float8, false)`];
  }
  return [sql`coalesce(${bucket} < ${percentageAt(share, now)}::float8, false)`];
}

function ruleSql(definition: Definition, now: number): Sql | undefined {
  const { condition } = definition;
  const parts: Sql[] = [];
  if (condition) {
    const expression = conditionSql(condition, {
      attributes: sql`u.attributes`,
      inSegment: (id) => sql`coalesce(${alias('s', id)}.is_in, false)`,
      now,
    });
    if (!expression) return undefined;
    parts.push(expression);
  }
  parts.push(...shareSql(definition, now));
  return parts.length === 0
    ? sql`false`
    : join(
        parts.map((part) => sql`(${part})`),
        ' AND ',
      );
}

interface Column {
  readonly id: number;
  readonly m: Sql;
  readonly text: Sql;
}

/** A column for each segment that conditions name, each after those it names itself; undefined where SQL cannot. */
function columnsOf(referenced: readonly Definition[], now: number): Column[] | undefined {
  if (referenced.length > maxReferences) return undefined;
  const columns: Column[] = [];
  for (const one of referenced) {
    const rule = isList(one) ? sql`false` : ruleSql(one, now);
    if (!rule) return undefined;
    const [m, s] = [alias('m', one.id), alias('s', one.id)];
    const member = isActive(one, now) ? isIn(rule, m) : sql`false`;
    // OFFSET 0 keeps the planner from copying the expression into every place that names it.
    const text = sql`CROSS JOIN LATERAL (SELECT ${member} AS is_in OFFSET 0) ${s}`;
    columns.push({ id: one.id, m, text });
  }
  return columns;
}

function joinsOf(columns: readonly Column[], after: number): Sql {
  if (columns.length === 0) return empty;
  const joins = columns.map(
    ({ m, id, text }) => sql`LEFT JOIN memberships ${m} ON ${overrideOf(m, id, after)} ${text}`,
  );
  return join(joins, '\n');
}

/**
 * The rule of an active segment over sets, at a moment. Each segment that its condition names, directly or not, becomes a column computed once per
 * user. Undefined where SQL cannot express one of the conditions exactly, or not in one statement.
 */
export function memberSql(definitions: Definitions, definition: Definition, now: number): MemberSql | undefined {
  const columns = columnsOf(inOrder(definitions.byId, [definition]).slice(0, -1), now);
  const rule = ruleSql(definition, now);
  if (!columns || !rule) return undefined;
  if (joinsOf(columns, 0).values.length + rule.values.length > maxParameters) return undefined;
  return { joins: (after) => joinsOf(columns, after), rule };
}

export const ownOverride = (segmentId: number, after = 0) =>
  sql`LEFT JOIN memberships m ON ${overrideOf(sql`m`, segmentId, after)}`;
export const isIn = (rule: Sql, m = sql`m`) =>
  sql`CASE ${m}.mode WHEN 'include' THEN true WHEN 'exclude' THEN false ELSE ${rule} END`;

/** Who is in each of several definitions, as SQL over `users u`: expressions that are never null, in the order given. */
export interface SetsSql {
  readonly joins: Sql;
  readonly sets: readonly Sql[];
}

/** Several definitions at once, also of one segment before and after a change. Undefined where SQL cannot express one. */
export function setsSql(definitions: Definitions, targets: readonly Definition[], now: number): SetsSql | undefined {
  const named = targets.flatMap(({ references }) => references.flatMap((id) => definitions.byId.get(id) ?? []));
  const columns = columnsOf(inOrder(definitions.byId, named), now);
  if (!columns) return undefined;
  const own = [...new Set(targets.map(({ id }) => id))].map((id) => {
    const o = alias('o', id);
    return sql`LEFT JOIN memberships ${o} ON ${overrideOf(o, id, 0)}`;
  });
  const sets: Sql[] = [];
  for (const target of targets) {
    const rule = ruleSql(target, now);
    if (!rule) return undefined;
    sets.push(isActive(target, now) ? isIn(rule, alias('o', target.id)) : sql`false`);
  }
  const joins = sql`${join(own, '\n')} ${joinsOf(columns, 0)}`;
  const parameters = sets.reduce((sum, { values }) => sum + values.length, joins.values.length);
  // The sets stand in a statement up to three times.
  return parameters * 3 > maxParameters ? undefined : { joins, sets };
}
