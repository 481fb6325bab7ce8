import sql, { join, raw, type Sql } from 'sql-template-tag';
import { type Comparison, type JsonType, matchesMissing, type Scalar, type Test } from '../condition.ts';
import type { Instant } from '../instant.ts';
import type { Json } from '../json.ts';
import { caseVariantsOf } from '../letter-case.ts';
import type { Literal, Pattern } from '../regex.ts';
import { textInstantSql } from './instant.ts';
import { toPostgres } from './pattern.ts';
import { textVersionSql, versionOperators } from './version.ts';

const comparisons: Readonly<Record<Comparison, Sql>> = { gt: raw('>'), gte: raw('>='), lt: raw('<'), lte: raw('<=') };
const instantOperators = { before: '<', after: '>' } as const;
const numberType = raw(`'number'`);
const booleanType = raw(`'boolean'`);
const stringType = raw(`'string'`);

/** A test that is only asked of values of one type, named as `jsonb_typeof` names it. */
export interface TypedSql {
  readonly type: Sql;
  readonly says: (value: Sql) => Sql;
}

/** Whether SQL has an exact form of a pattern. */
export function isPatternExpressible(pattern: Pattern): boolean {
  return pattern.literal !== undefined || toPostgres(pattern) !== undefined;
}

/**
 * A test of a value, an expression of type jsonb, as one that is asked of one type only; undefined if it is none.
 * jsonb orders numbers and booleans as MongoDB does, but strings by the collation of the database: they go as text.
 */
export function typedSql(test: Test): TypedSql | undefined {
  if (test.kind === 'pattern' && test.pattern.literal !== undefined) {
    const { literal } = test.pattern;
    return { type: stringType, says: (value) => literalSql(text(value), literal) };
  }
  if (test.kind === 'pattern') {
    const pattern = toPostgres(test.pattern);
    return pattern === undefined
      ? undefined
      : { type: stringType, says: (value) => sql`${text(value)} COLLATE "C" ~ ${pattern}::text` };
  }
  if (test.kind === 'mod') return modSql(test.divisor, test.remainder);
  if (test.kind === 'version') {
    return { type: stringType, says: (value) => textVersionSql(text(value), test.operator, test.key) };
  }
  return test.kind === 'compare' ? comparisonSql(comparisons[test.operator], test.value) : undefined;
}

function modSql(divisor: number, remainder: number): TypedSql {
  const max = Number.MAX_SAFE_INTEGER;
  const says = (value: Sql) => {
    const number = sql`(${value})::numeric`;
    return sql`(${number} BETWEEN ${-max}::numeric AND ${max}::numeric AND trunc(${number}) % ${divisor}::numeric = ${remainder}::numeric)`;
  };
  return { type: numberType, says };
}

function comparisonSql(compares: Sql, expected: Scalar): TypedSql | undefined {
  switch (typeof expected) {
    case 'number':
      return { type: numberType, says: (value) => sql`${value} ${compares} ${JSON.stringify(expected)}::jsonb` };
    case 'boolean':
      return { type: booleanType, says: (value) => sql`${value} ${compares} ${JSON.stringify(expected)}::jsonb` };
    case 'string':
      return { type: stringType, says: (value) => sql`${text(value)} COLLATE "C" ${compares} ${expected}::text` };
    default:
      return undefined;
  }
}

/** Any other test of one value as it is, asked at a moment. Null where the value is. */
export function untypedSql(value: Sql, test: Exclude<Test, { kind: 'elements' }>, now: number): Sql {
  switch (test.kind) {
    case 'equal':
      return sql`${value} = ${JSON.stringify(test.value)}::jsonb`;
    case 'in':
      // An array of jsonb and not a jsonb array: PostgreSQL hashes a long ANY.
      return sql`${value} = ANY (${jsonArrayLiteral(test.values)}::jsonb[])`;
    case 'exists':
      return sql`${value} IS NOT NULL`;
    case 'size':
      return sql`CASE jsonb_typeof(${value}) WHEN 'array' THEN jsonb_array_length(${value}) = ${test.size}::bigint ELSE FALSE END`;
    case 'compare':
      // Only null is left: it equals itself, and nothing is above or below it.
      return matchesMissing(test) ? sql`${value} = 'null'::jsonb` : raw('FALSE');
    case 'inAnyCase':
      return inAnyCaseSql(value, test.values);
    case 'type':
      return join(
        test.types.map((type) => typeSql(value, type)),
        ' OR ',
        '(',
        ')',
      );
    case 'instant':
      return instantSql(value, test.order, msOf(test.instant, now));
    case 'mod':
    case 'pattern':
    case 'version':
      throw new Error(`a ${test.kind} has no SQL`);
  }
}

/**
 * Texts folded character by character, as letter-case.ts does it: of the characters that the operands hold, every variant is
 * replaced. What else a value holds cannot be in an operand, so it needs no folding.
 */
function inAnyCaseSql(value: Sql, values: readonly Scalar[]): Sql {
  const texts = values.filter((entry) => typeof entry === 'string');
  const others = values.filter((entry) => typeof entry !== 'string');
  const variants = [...new Set(texts.join(''))].flatMap((to) => caseVariantsOf(to).map((from) => ({ from, to })));
  const from = variants.map((variant) => variant.from).join('');
  const to = variants.map((variant) => variant.to).join('');
  // Folding keeps the number of characters, and counting them costs far less.
  const lengths = [...new Set(texts.map((entry) => [...entry].length))];
  const hasLength = sql`length(${text(value)}) = ANY (${lengths}::int[])`;
  const folded = sql`translate(${text(value)}, ${from}::text, ${to}::text)`;
  return sql`CASE jsonb_typeof(${value}) WHEN 'string' THEN ${hasLength} AND ${folded} = ANY (${texts}::text[]) ELSE ${value} = ANY (${jsonArrayLiteral(others)}::jsonb[]) END`;
}

function typeSql(value: Sql, type: JsonType): Sql {
  switch (type) {
    case 'bool':
      return sql`jsonb_typeof(${value}) = 'boolean'`;
    case 'int':
    case 'double': {
      const isWhole = sql`(${value})::numeric = trunc((${value})::numeric)`;
      return sql`CASE jsonb_typeof(${value}) WHEN 'number' THEN ${type === 'int' ? isWhole : sql`NOT ${isWhole}`} ELSE FALSE END`;
    }
    default:
      return sql`jsonb_typeof(${value}) = ${type}::text`;
  }
}

function msOf(instant: Instant, now: number): number {
  return instant.kind === 'fixed' ? instant.ms : now + instant.offsetMs;
}

function instantSql(value: Sql, order: 'before' | 'after', ms: number): Sql {
  const compares = raw(instantOperators[order]);
  const asNumber = sql`${value} ${compares} ${JSON.stringify(ms)}::jsonb`;
  const asText = textInstantSql(text(value), order, ms);
  return sql`CASE jsonb_typeof(${value}) WHEN 'number' THEN ${asNumber} WHEN 'string' THEN ${asText} ELSE FALSE END`;
}

/** Whether some element of an array passes, where a function can say it. */
export function someElementSql(array: Sql, test: Test, now: number): Sql | undefined {
  switch (test.kind) {
    case 'instant':
      return sql`kohort_has_instant(${array}, ${instantOperators[test.order]}::text, ${msOf(test.instant, now)}::bigint)`;
    case 'version':
      return sql`kohort_has_version(${array}, ${versionOperators[test.operator]}::text, ${test.key}::text)`;
    default:
      return undefined;
  }
}

/** A `jsonb[]` as one text: the driver takes several times as long over a thousand entries. */
function jsonArrayLiteral(values: readonly Json[]): string {
  return `{${values.map((value) => `"${JSON.stringify(value).replaceAll(/["\\]/g, '\\$&')}"`).join(',')}}`;
}

function literalSql(candidate: Sql, { text, anchor }: Literal): Sql {
  switch (anchor) {
    case 'none':
      return sql`strpos(${candidate}, ${text}::text) > 0`;
    case 'start':
      return sql`starts_with(${candidate}, ${text}::text)`;
    case 'end':
      return sql`right(${candidate}, length(${text}::text)) = ${text}::text`;
    case 'both':
      return sql`${candidate} = ${text}::text`;
  }
}

/** The text of a jsonb string. */
function text(value: Sql): Sql {
  return sql`(${value} #>> '{}')`;
}
