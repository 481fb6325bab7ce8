import sql, { type Sql } from 'sql-template-tag';
import type { Path, Test } from './condition.ts';
import type { Json, JsonObject } from './json.ts';
import type { Literal } from './regex.ts';

/** Lists longer than this are left to a hash. */
const SHORT_LIST = 32;

/**
 * Puts a test to the values that a path leads to from a document, and to their elements where they are arrays; undefined
 * if jsonpath cannot say it exactly. Unlike a subquery this leaves PostgreSQL free to scan in parallel.
 *
 * Lax mode leads through arrays as MongoDB does, and a filter is put to the elements of an array. But a comparison would
 * look into an array in the array once more, so every filter asks for the type first. Missing values and indexes by name
 * are not known to it: the caller sees to these.
 */
export function pathExistsSql(document: Sql, path: Path, test: Test): Sql | undefined {
  const steps = `lax $${path.map((name) => `.${JSON.stringify(name)}`).join('')}`;
  if (test.kind === 'exists') return sql`jsonb_path_exists(${document}, ${steps}::jsonpath)`;
  const filter = filterOf(test);
  if (filter === undefined) return undefined;
  const [says, variables] = filter;
  return sql`jsonb_path_exists(${document}, ${`${steps} ? (${says})`}::jsonpath, ${JSON.stringify(variables)}::jsonb)`;
}

type Filter = readonly [says: string, variables: JsonObject];

const OPERATORS = { gt: '>', gte: '>=', lt: '<', lte: '<=' } as const;

function filterOf(test: Test): Filter | undefined {
  switch (test.kind) {
    case 'equal':
      return comparison('==', test.value);
    case 'compare':
      return test.value === null ? undefined : comparison(OPERATORS[test.operator], test.value);
    case 'in':
      if (test.values.length > SHORT_LIST || test.values.some((value) => typeName(value) === undefined))
        return undefined;
      return ['@.type() != "array" && @ == $x[*]', { x: test.values }];
    case 'pattern':
      return test.pattern.literal && literal(test.pattern.literal);
    default:
      return undefined;
  }
}

function comparison(operator: string, value: Json): Filter | undefined {
  const type = typeName(value);
  return type === undefined ? undefined : [`@.type() == "${type}" && @ ${operator} $x`, { x: value }];
}

function literal({ text, anchor }: Literal): Filter | undefined {
  switch (anchor) {
    case 'none':
      // The flag q is for "quote": the pattern is plain text. It cannot be a variable, so it is written as a literal.
      return [`@.type() == "string" && @ like_regex ${JSON.stringify(text)} flag "q"`, {}];
    case 'start':
      return ['@.type() == "string" && @ starts with $x', { x: text }];
    case 'both':
      return comparison('==', text);
    case 'end':
      return undefined;
  }
}

/** What jsonpath's `type()` says of a scalar; undefined for others, which jsonpath does not compare. */
function typeName(value: Json): string | undefined {
  if (value === null) return 'null';
  return typeof value === 'object' ? undefined : typeof value;
}
