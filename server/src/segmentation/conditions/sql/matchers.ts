import sql, { raw, type Sql } from 'sql-template-tag';
import type { Comparison, Scalar, Test } from '../condition.ts';
import type { Json } from '../json.ts';
import type { Literal } from '../regex.ts';

const OPERATORS: Readonly<Record<Comparison, Sql>> = { gt: raw('>'), gte: raw('>='), lt: raw('<'), lte: raw('<=') };
const NUMBER = raw(`'number'`);
const BOOLEAN = raw(`'boolean'`);
const STRING = raw(`'string'`);

/** Whether a test says yes to a missing value: only those that null passes. */
export function matchesMissing(test: Test): boolean {
  switch (test.kind) {
    case 'equal':
      return test.value === null;
    case 'in':
      return test.values.includes(null);
    case 'compare':
      return test.value === null && (test.operator === 'gte' || test.operator === 'lte');
    default:
      return false;
  }
}

/** A test that is only asked of values of one type, named as `jsonb_typeof` names it. */
export interface TypedSql {
  readonly type: Sql;
  readonly says: (value: Sql) => Sql;
}

/**
 * A test of a value, an expression of type jsonb, as one that is asked of one type only; undefined if it is none.
 * jsonb orders numbers and booleans as MongoDB does, but strings by the collation of the database: they go as text.
 */
export function typedSql(test: Test): TypedSql | undefined {
  if (test.kind === 'pattern' && test.pattern.literal !== undefined) {
    const { literal } = test.pattern;
    return { type: STRING, says: (value) => literalSql(text(value), literal) };
  }
  return test.kind === 'compare' ? comparisonSql(OPERATORS[test.operator], test.value) : undefined;
}

function comparisonSql(compares: Sql, expected: Scalar): TypedSql | undefined {
  switch (typeof expected) {
    case 'number':
      return { type: NUMBER, says: (value) => sql`${value} ${compares} ${JSON.stringify(expected)}::jsonb` };
    case 'boolean':
      return { type: BOOLEAN, says: (value) => sql`${value} ${compares} ${JSON.stringify(expected)}::jsonb` };
    case 'string':
      return { type: STRING, says: (value) => sql`${text(value)} COLLATE "C" ${compares} ${expected}::text` };
    default:
      return undefined;
  }
}

/** Any other test of one value as it is. Null where the value is. */
export function untypedSql(value: Sql, test: Exclude<Test, { kind: 'elements' }>): Sql {
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
    case 'pattern':
    case 'version':
      throw new Error(`a ${test.kind} has no SQL`);
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
