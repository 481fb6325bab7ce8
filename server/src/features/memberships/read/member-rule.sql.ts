import sql, { empty, join, raw, type Sql } from 'sql-template-tag';
import { bucketWithinSql, firstWordOf } from '../../../segmentation/bucket.ts';
import { conditionSql, filterSql } from '../../../segmentation/conditions/sql/compile.ts';
import { mayBeFoundByIndex } from '../../../segmentation/conditions/sql/equalities.ts';
import { type Definition, isActive, isList } from '../../../segmentation/definition.ts';
import { type Definitions, inOrder } from '../../../segmentation/definitions.ts';
import { percentageAt } from '../../../segmentation/share.ts';
import { momentSql } from '../moment.sql.ts';
import { stands } from '../stands.sql.ts';
import type { Slice } from './slices.ts';

/** A statement can have 65,535 parameters; the statement around a rule needs a few. */
const maxParameters = 65_000;
/** Each referenced segment is one more join. Beyond this many, users are streamed and decided in process. */
const maxReferences = 24;

export interface OverridesAt extends Slice {
  /** The moment at which overrides must be in force; by default that of the statement. */
  readonly at?: Sql;
}

/**
 * The override of `u` in a segment. The planner does not derive a range for one side of a join from the other: without the bounds
 * on both sides it would merge them from the first user on, for every page.
 */
export const overrideOf = (membership: Sql, segmentId: number, { at, ...slice }: OverridesAt) =>
  sql`${membership}.user_id = u.id AND ${within(sql`${membership}.user_id`, slice)} AND ${membership}.segment_id = ${segmentId} AND ${stands(membership, at)}`;

/** The condition that an id is of a slice. */
export function within(id: Sql, { after, to }: Slice): Sql {
  return to === undefined ? sql`${id} > ${after}` : sql`${id} > ${after} AND ${id} <= ${to}`;
}

/** What sets are asked about: the moment, in milliseconds since 1970, and what the database is. */
export interface SetsAsked {
  readonly now: number;
  readonly isDistributed: boolean;
}

const key = sql`coalesce(u.external_id, u.id::text)`;

/** Membership as SQL over `users u`: the joins for a slice of them, and a boolean expression that is never null. */
export interface MemberSql {
  readonly joins: (slice: Slice) => Sql;
  readonly rule: Sql;
  /** The same for a WHERE, where null is as good as false. */
  readonly filter: Sql;
  /** Whether an index on an attribute could find all whom the rule lets in. */
  readonly mayUseIndex: boolean;
}

/** For a segment before its start or after its end, and for a list: no user is let in by a rule. */
export const noMembers: MemberSql = { joins: () => empty, rule: sql`false`, filter: sql`false`, mayUseIndex: false };

/** Aliases are built from segment ids, which are numbers. */
function alias(kind: 'm' | 's' | 'o', id: number): Sql {
  return raw(`${kind}${Math.trunc(id)}`);
}

/** The key of the bucket: the user's, or the value at a path of the attributes; null unless that is a text or number. */
function keySql({ bucketBy }: Definition): Sql {
  if (bucketBy === null) return key;
  const value = sql`(u.attributes #> ${bucketBy}::text[])`;
  const found = sql`CASE jsonb_typeof(${value}) WHEN 'string' THEN ${value} #>> '{}' WHEN 'number' THEN kohort_number_text(${value}::numeric) END`;
  // `#>` would take a numeric name for an array index; only objects can contain the key.
  const arrays = bucketBy
    .slice(1)
    .flatMap((name, i) =>
      /^-?[0-9]+$/.test(name) ? [sql`jsonb_typeof(u.attributes #> ${bucketBy.slice(0, i + 1)}::text[]) = 'array'`] : [],
    );
  return arrays.length === 0 ? found : sql`CASE WHEN ${join(arrays, ' OR ')} THEN NULL ELSE ${found} END`;
}

/** No user. Not `false`: with PostgreSQL 15 and 16 Citus refuses outer joins under a condition without a column. */
const noneOnWorkers = sql`u.id < 0`;

function shareSql(definition: Definition, { now, isDistributed }: SetsAsked): Sql[] {
  const { share } = definition;
  if (share === null) return [];
  const range = share.kind === 'layer' ? share : { from: 0, to: percentageAt(share, now) ?? 0 };
  if (isDistributed && firstWordOf(range.from) >= firstWordOf(range.to)) return [noneOnWorkers];
  return [sql`coalesce(${bucketWithinSql(share.salt, keySql(definition), range)}, false)`];
}

function ruleSql(
  definition: Definition,
  asked: SetsAsked,
  sayCondition: typeof conditionSql = conditionSql,
): Sql | undefined {
  const { condition } = definition;
  const { now, isDistributed } = asked;
  const parts: Sql[] = [];
  if (condition) {
    const expression = sayCondition(condition, {
      attributes: sql`u.attributes`,
      inSegment: (id) => sql`coalesce(${alias('s', id)}.is_in, false)`,
      now,
      mayUnfold: !isDistributed,
    });
    if (!expression) return undefined;
    parts.push(expression);
  }
  parts.push(...shareSql(definition, asked));
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

/**
 * Whether a segment can be a column. Citus accepts only immutable functions there, and the one that encodes a key as bytes is
 * stable.
 */
function canBeColumn({ share }: Definition, { isDistributed }: SetsAsked): boolean {
  return share === null || !isDistributed;
}

/** A column for each segment that conditions name, after those it names itself; undefined if SQL cannot express one. */
function columnsOf(referenced: readonly Definition[], asked: SetsAsked): Column[] | undefined {
  if (referenced.length > maxReferences) return undefined;
  const columns: Column[] = [];
  let parameters = 0;
  for (const one of referenced) {
    const rule = isList(one) ? sql`false` : ruleSql(one, asked);
    if (!rule || !canBeColumn(one, asked)) return undefined;
    const [m, s] = [alias('m', one.id), alias('s', one.id)];
    const member = isActive(one, asked.now) ? isIn(rule, m) : sql`false`;
    // OFFSET 0 keeps the planner from inlining the expression wherever it is used.
    const text = sql`CROSS JOIN LATERAL (SELECT ${member} AS is_in OFFSET 0) ${s}`;
    columns.push({ id: one.id, m, text });
    parameters += text.values.length;
    // A statement has them twice. Saying the rest too would take a long turn of the event loop, for nothing.
    if (parameters * 2 > maxParameters) return undefined;
  }
  return columns;
}

function joinsOf(columns: readonly Column[], slice: Slice, { now }: SetsAsked): Sql {
  if (columns.length === 0) return empty;
  const at = momentSql(now);
  const joins = columns.map(
    ({ m, id, text }) => sql`LEFT JOIN memberships ${m} ON ${overrideOf(m, id, { ...slice, at })} ${text}`,
  );
  return join(joins, '\n');
}

/**
 * The rule of an active segment over sets, at a moment. Each segment that its condition names, directly or indirectly, becomes a
 * column computed once per user. Undefined if SQL cannot express one of the conditions exactly, or not in one statement, or not
 * in one that a distributed database accepts.
 */
export function memberSql(definitions: Definitions, definition: Definition, asked: SetsAsked): MemberSql | undefined {
  const columns = columnsOf(inOrder(definitions.byId, [definition]).slice(0, -1), asked);
  const rule = columns && ruleSql(definition, asked);
  const filter = rule && ruleSql(definition, asked, filterSql);
  if (!columns || !rule || !filter) return undefined;
  const { length } = joinsOf(columns, { after: 0, to: 0 }, asked).values;
  // A count has the joins twice.
  if (length * 2 + rule.values.length + filter.values.length > maxParameters) return undefined;
  const { condition } = definition;
  const mayUseIndex = columns.length === 0 && condition !== null && mayBeFoundByIndex(condition);
  return { joins: (slice) => joinsOf(columns, slice, asked), rule, filter, mayUseIndex };
}

export const ownOverride = (segmentId: number, overrides: OverridesAt) =>
  sql`LEFT JOIN memberships m ON ${overrideOf(sql`m`, segmentId, overrides)}`;
export const isIn = (rule: Sql, m = sql`m`) =>
  sql`CASE ${m}.mode WHEN 'include' THEN true WHEN 'exclude' THEN false ELSE ${rule} END`;

/** Membership in several definitions as SQL over `users u`: expressions that are never null, in the order given. */
export interface SetsSql {
  readonly joins: (slice: Slice) => Sql;
  readonly sets: readonly Sql[];
}

/** Several definitions at once, possibly of one segment before and after a change. Undefined if SQL cannot express one. */
export function setsSql(
  definitions: Definitions,
  targets: readonly Definition[],
  asked: SetsAsked,
): SetsSql | undefined {
  const named = targets.flatMap(({ references }) => references.flatMap((id) => definitions.byId.get(id) ?? []));
  const columns = columnsOf(inOrder(definitions.byId, named), asked);
  if (!columns) return undefined;
  const at = momentSql(asked.now);
  const own = (slice: Slice) =>
    [...new Set(targets.map(({ id }) => id))].map((id) => {
      const o = alias('o', id);
      return sql`LEFT JOIN memberships ${o} ON ${overrideOf(o, id, { ...slice, at })}`;
    });
  const joins = (slice: Slice) => sql`${join(own(slice), '\n')} ${joinsOf(columns, slice, asked)}`;
  const sets: Sql[] = [];
  let parameters = joins({ after: 0, to: 0 }).values.length;
  for (const target of targets) {
    const rule = ruleSql(target, asked);
    if (!rule) return undefined;
    const set = isActive(target, asked.now) ? isIn(rule, alias('o', target.id)) : sql`false`;
    sets.push(set);
    parameters += set.values.length;
    // A statement contains the sets up to three times.
    if (parameters * 3 > maxParameters) return undefined;
  }
  return { joins, sets };
}
