import sql, { type Sql } from 'sql-template-tag';
import { type Condition, indexOf, matchesMissing, type Path, type Test } from '../condition.ts';
import { compileCondition } from '../evaluate.ts';
import { Evaluation } from '../evaluation.ts';
import type { Json } from '../json.ts';
import type { Literal } from '../regex.ts';

/**
 * Tests of arrays as jsonpath. Unlike a subquery it leaves PostgreSQL free to scan in parallel; undefined wherever it
 * could not be exact. What it is built on, and what it has to step around:
 * - Lax mode leads through arrays as MongoDB does, but knows neither missing values nor indexes by name.
 * - A filter is put to the elements of an array. A comparison would look into an array in the array once more, so every
 *   filter asks for the type first.
 * - A comparison of two types is unknown, and stays so when denied. A filter takes unknown for no, so whatever may be
 *   denied is an `exists` of a filter, or asks for the type first.
 */
type Says = string | undefined;

/** Lists longer than this are left to a hash. */
const maxInlineEntries = 32;

const operators = { gt: '>', gte: '>=', lt: '<', lte: '<=' } as const;

/**
 * Puts a test to the values a path leads to from a document, and to their elements where they are arrays.
 * {"a.b": {$exists: true}}  lax $."a"."b"
 * {"a.b": {$gt: "x"}}       lax $."a"."b" ? (@.type() == "string" && @ > $x0)
 */
export function pathExistsSql(document: Sql, path: Path, test: Test): Sql | undefined {
  const variables = new Variables();
  const filter = test.kind === 'exists' ? '' : optional(valueFilter(test, variables), (says) => ` ? (${says})`);
  return filter === undefined ? undefined : variables.sql(document, `lax $${steps(path)}${filter}`);
}

/**
 * Puts `$elemMatch` to the elements of an array.
 * {$elemMatch: {$gt: 1}}      lax $ ? (@.type() != "array" && exists(@ ? (@.type() == "number" && @ > $x0)))
 * {$elemMatch: {b: 1}}        lax $ ? (@.type() == "object" && exists(@."b" ? (@.type() == "number" && @ == $x0)))
 * {$elemMatch: {b: {$ne: 1}}} lax $ ? (@.type() == "array" || (@.type() == "object" && !exists(@."b" ? (…))))
 */
export function elementExistsSql(array: Sql, test: Extract<Test, { kind: 'elements' }>): Sql | undefined {
  const variables = new Variables();
  const says =
    test.as === 'values'
      ? conditionFilter(test.condition, (_, inner) => elementFilter(inner, variables))
      : optional(
          conditionFilter(test.condition, (path, inner) => fieldFilter(path, inner, variables)),
          // An array in the array is a document that has none of these names: what then holds is known beforehand.
          (inner) =>
            compileCondition(test.condition)({}, new Evaluation(0, () => false))
              ? `@.type() == "array" || (@.type() == "object" && ${inner})`
              : `@.type() == "object" && ${inner}`,
        );
  return says === undefined ? undefined : variables.sql(array, `lax $ ? (${says})`);
}

/** The values of a test go as variables; a jsonpath holds names and, where it must, a text. Both are one parameter. */
class Variables {
  readonly #values: Record<string, Json> = {};
  #count = 0;

  add(value: Json): string {
    const name = `x${this.#count++}`;
    this.#values[name] = value;
    return `$${name}`;
  }

  sql(target: Sql, jsonpath: string): Sql {
    return sql`jsonb_path_exists(${target}, ${jsonpath}::jsonpath, ${JSON.stringify(this.#values)}::jsonb)`;
  }
}

function steps(path: Path): string {
  return path.map((name) => `.${JSON.stringify(name)}`).join('');
}

function conditionFilter(condition: Condition<never>, field: (path: Path, test: Test) => Says): Says {
  switch (condition.kind) {
    // {$or: [{b: 1}, {c: 2}]}  (exists(@."b" ? (…)) || exists(@."c" ? (…)));  {} matches whatever it is put to: (1 == 1)
    case 'and':
    case 'or': {
      const parts = condition.of.map((part) => conditionFilter(part, field));
      if (parts.includes(undefined)) return undefined;
      if (parts.length === 0) return condition.kind === 'and' ? '(1 == 1)' : '(1 == 2)';
      return `(${parts.join(condition.kind === 'and' ? ' && ' : ' || ')})`;
    }
    // {b: {$ne: 1}}  (!(exists(@."b" ? (…))))
    case 'not':
      return optional(conditionFilter(condition.of, field), (says) => `(!${says})`);
    case 'field':
      return optional(field(condition.path, condition.test), (says) => `(${says})`);
    default:
      return undefined;
  }
}

/**
 * A field of an element that is a document.
 * {b: {$exists: true}}  exists(@."b")
 * {"b.c": 1}            exists(@."b"."c" ? (@.type() == "number" && @ == $x0))
 * {b: null}             !exists(@."b") || exists(@."b" ? (@.type() == "null" && @ == $x0))
 * {"b.0": 1}            none: an index
 * {"b.c": null}         none
 */
function fieldFilter(path: Path, test: Test, variables: Variables): Says {
  const [first = ''] = path;
  if (path.some((name) => indexOf(name) >= 0)) return undefined;
  if (test.kind === 'exists') return `exists(@${steps(path)})`;
  const found = optional(valueFilter(test, variables), (says) => `exists(@${steps(path)} ? (${says}))`);
  if (!matchesMissing(test)) return found;
  // The last of several names may be missing in one document of many, which `exists` of the whole path would not show.
  return path.length === 1 ? optional(found, (says) => `!exists(@${steps([first])}) || ${says}`) : undefined;
}

/**
 * An element itself, where an array in the array is not looked into.
 * {$exists: true}  1 == 1
 * {$size: 2}       @.type() == "array" && @.size() == $x0
 * {$gt: 1}         @.type() != "array" && exists(@ ? (@.type() == "number" && @ > $x0))
 */
function elementFilter(test: Test, variables: Variables): Says {
  switch (test.kind) {
    case 'exists':
      return '1 == 1';
    case 'size':
      return `@.type() == "array" && @.size() == ${variables.add(test.size)}`;
    default:
      return optional(valueFilter(test, variables), (says) => `@.type() != "array" && exists(@ ? (${says}))`);
  }
}

/**
 * A filter for values that are there, scalars or the elements of an array.
 * 1                @.type() == "number" && @ == $x0
 * {$gt: "x"}       @.type() == "string" && @ > $x0
 * {$in: [1, "x"]}  @.type() != "array" && @ == $x0[*]
 * {$regex: "^x"}   see `literal`
 * {$mod: [4, 0]}   none
 */
function valueFilter(test: Test, variables: Variables): Says {
  switch (test.kind) {
    case 'equal':
      return comparison('==', test.value, variables);
    case 'compare':
      return test.value === null ? undefined : comparison(operators[test.operator], test.value, variables);
    case 'in':
      if (test.values.length > maxInlineEntries || !test.values.every(isPlain)) return undefined;
      return `@.type() != "array" && @ == ${variables.add(test.values)}[*]`;
    case 'pattern':
      return test.pattern.literal && literal(test.pattern.literal, variables);
    default:
      return undefined;
  }
}

function comparison(operator: string, value: Json, variables: Variables): Says {
  if (!isPlain(value)) return undefined;
  const type = value === null ? 'null' : typeof value;
  return `@.type() == "${type}" && @ ${operator} ${variables.add(value)}`;
}

/**
 * {$regex: "x"}    @.type() == "string" && @ like_regex "x" flag "q"
 * {$regex: "^x"}   @.type() == "string" && @ starts with $x0
 * {$regex: "^x$"}  @.type() == "string" && @ == $x0
 * {$regex: "x$"}   none
 */
function literal({ text, anchor }: Literal, variables: Variables): Says {
  switch (anchor) {
    case 'none':
      // The flag q is for "quote": the pattern is plain text. It cannot be a variable.
      return `@.type() == "string" && @ like_regex ${JSON.stringify(text)} flag "q"`;
    case 'start':
      return `@.type() == "string" && @ starts with ${variables.add(text)}`;
    case 'both':
      return comparison('==', text, variables);
    case 'end':
      return undefined;
  }
}

/** jsonpath compares scalars only. */
function isPlain(value: Json): boolean {
  return typeof value !== 'object' || value === null;
}

function optional(says: Says, wrap: (says: string) => string): Says {
  return says === undefined ? undefined : wrap(says);
}
