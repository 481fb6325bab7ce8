import sql, { raw, type Sql } from 'sql-template-tag';
import type { Comparison, Scalar, Test } from './condition.ts';
import type { Literal } from './regex.ts';

const OPERATORS: Readonly<Record<Comparison, Sql>> = { gt: raw('>'), gte: raw('>='), lt: raw('<'), lte: raw('<=') };
const FALSE = raw('FALSE');

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

/** The test of one value, an expression of type jsonb, as it is. Null where the value is. */
export function testSql(value: Sql, test: Exclude<Test, { kind: 'elements' }>): Sql {
  switch (test.kind) {
    case 'equal':
      return sql`${value} = ${JSON.stringify(test.value)}::jsonb`;
    case 'in':
      // An array of jsonb and not a jsonb array: PostgreSQL hashes a long ANY.
      return sql`${value} = ANY (${test.values.map((entry) => JSON.stringify(entry))}::jsonb[])`;
    case 'compare':
      return comparisonSql(value, test.operator, test.value);
    case 'exists':
      return sql`${value} IS NOT NULL`;
    case 'size':
      return sql`CASE jsonb_typeof(${value}) WHEN 'array' THEN jsonb_array_length(${value}) = ${test.size}::bigint ELSE FALSE END`;
    case 'pattern':
      if (test.pattern.literal === undefined) throw new Error('a pattern that is not text has no SQL');
      return textSql(value, literalSql(text(value), test.pattern.literal));
    case 'version':
      throw new Error('versions have no SQL');
  }
}

// jsonb orders numbers and booleans as MongoDB does; text by the collation of the database, so that is done as text.
function comparisonSql(value: Sql, operator: Comparison, expected: Scalar): Sql {
  const compares = OPERATORS[operator];
  switch (typeof expected) {
    case 'number':
      return sql`(jsonb_typeof(${value}) = 'number' AND ${value} ${compares} ${JSON.stringify(expected)}::jsonb)`;
    case 'boolean':
      return sql`(jsonb_typeof(${value}) = 'boolean' AND ${value} ${compares} ${JSON.stringify(expected)}::jsonb)`;
    case 'string':
      return textSql(value, sql`${text(value)} COLLATE "C" ${compares} ${expected}::text`);
    default:
      return operator === 'gte' || operator === 'lte' ? sql`${value} = 'null'::jsonb` : FALSE;
  }
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

function textSql(value: Sql, answer: Sql): Sql {
  return sql`(jsonb_typeof(${value}) = 'string' AND ${answer})`;
}

/** The text of a jsonb string. */
function text(value: Sql): Sql {
  return sql`(${value} #>> '{}')`;
}
