import sql, { empty, join, raw, type Sql } from 'sql-template-tag';
import { type Condition, indexOf, isAboutWholeArray, matchesMissing, type Path, type Test } from '../condition.ts';
import { elementExistsSql, pathExistsSql } from './jsonpath.ts';
import { isPatternSayable, someElementSql, typedSql, untypedSql } from './matchers.ts';

/** How the tables around the condition are spoken of. */
export interface SqlContext {
  /** The user's attributes: an expression of type jsonb, an object, never null. */
  readonly attributes: Sql;
  /** Whether the user is in a segment: a boolean expression. */
  readonly inSegment: (segmentId: number) => Sql;
  /** The moment that is asked about, in milliseconds since 1970. */
  readonly now: number;
}

/** A statement carries at most 65,535 parameters; conditions get half, the rest is for what stands around them. */
const maxParameters = 32_000;

/**
 * Says a condition in SQL: a boolean expression that is never null and gives exactly the answer of `compileCondition`,
 * or undefined where SQL cannot (patterns that the two engines may read differently). Then the caller evaluates a stream.
 * The text holds nothing from the user, only parameters.
 */
export function conditionSql(condition: Condition<number>, context: SqlContext): Sql | undefined {
  if (!isSayable(condition)) return undefined;
  const builder = new Builder(context);
  const expression = builder.condition(condition, (path, test) => builder.field(context.attributes, path, test));
  return expression.values.length > maxParameters ? undefined : expression;
}

function isSayable(condition: Condition<number>): boolean {
  switch (condition.kind) {
    case 'and':
    case 'or':
      return condition.of.every(isSayable);
    case 'not':
      return isSayable(condition.of);
    case 'segment':
      return true;
    case 'field':
      return isTestSayable(condition.test);
  }
}

function isTestSayable(test: Test): boolean {
  switch (test.kind) {
    case 'pattern':
      return isPatternSayable(test.pattern);
    case 'elements':
      return isSayable(test.condition);
    default:
      return true;
  }
}

type FieldSql = (path: Path, test: Test) => Sql;

class Builder {
  readonly #inSegment: (segmentId: number) => Sql;
  readonly #now: number;
  #aliases = 0;

  constructor({ inSegment, now }: SqlContext) {
    this.#inSegment = inSegment;
    this.#now = now;
  }

  condition(condition: Condition<number>, field: FieldSql): Sql {
    switch (condition.kind) {
      case 'and':
        return this.#junction(condition.of, field, ' AND ', 'TRUE');
      case 'or':
        return this.#junction(condition.of, field, ' OR ', 'FALSE');
      case 'not':
        return sql`(NOT ${this.condition(condition.of, field)})`;
      case 'segment':
        return sql`coalesce((${this.#inSegment(condition.segment)}), FALSE)`;
      case 'field':
        return field(condition.path, condition.test);
    }
  }

  #junction(of: readonly Condition<number>[], field: FieldSql, separator: string, whenEmpty: string): Sql {
    if (of.length === 0) return raw(whenEmpty);
    return join(
      of.map((part) => this.condition(part, field)),
      separator,
      '(',
      ')',
    );
  }

  /** A field of a document, which is an expression of type jsonb. */
  field(document: Sql, path: Path, test: Test): Sql {
    const [first = ''] = path;
    if (path.length === 1) return this.#leaf(sql`(${document} -> ${first}::text)`, test);
    // Said once and not twice: conditions nest in this one, and twice a level would be exponential.
    if (test.kind === 'elements') return this.#walk(document, path, test);
    // Arrays on the way are rare, so the plain path is tried first: `#>` reads the same as MongoDB while there are none.
    const arrayOnTheWay = path
      .slice(1)
      .map((_, index) => sql`jsonb_typeof(${document} #> ${path.slice(0, index + 1)}::text[]) = 'array'`);
    const throughArrays = this.#throughArrays(document, path, test);
    const plain = this.#leaf(sql`(${document} #> ${path}::text[])`, test);
    return sql`(CASE WHEN ${join(arrayOnTheWay, ' OR ')} THEN ${throughArrays} ELSE ${plain} END)`;
  }

  #throughArrays(document: Sql, path: Path, test: Test): Sql {
    const isWalk = matchesMissing(test) || path.some((name) => indexOf(name) >= 0);
    const found = (isWalk ? undefined : pathExistsSql(document, path, test)) ?? this.#walk(document, path, test);
    if (!matchesMissing(test)) return found;
    // Where the path leads to nothing at all, not even to a document without the field, that is null too.
    return sql`(${found} OR NOT ${this.#throughArrays(document, path, { kind: 'exists' })})`;
  }

  /**
   * A path through arrays: one row for each value it leads to, null for a missing one, by the rules of MongoDB's matcher.
   * `named` marks an array element named by its index: a scalar there has no fields, so it yields nothing, not missing.
   */
  #walk(document: Sql, path: Path, test: Test): Sql {
    const [first = '', ...rest] = path;
    let from = this.#alias();
    const steps = [sql`(SELECT ${document} -> ${first}::text AS v, FALSE AS named) AS ${from}`];
    for (const name of rest) {
      const to = this.#alias();
      steps.push(sql`LATERAL (${stepSql(from, name)}) AS ${to}`);
      from = to;
    }
    const value = sql`${from}.v`;
    const leaf = this.#leaf(value, test);
    const answer =
      indexOf(path.at(-1) ?? '') < 0 || isAboutWholeArray(test)
        ? leaf
        : sql`CASE WHEN ${from}.named THEN ${this.#single(value, test)} ELSE ${leaf} END`;
    return sql`EXISTS (SELECT FROM ${join(steps, ', ')} WHERE ${answer})`;
  }

  /** The test of a value and, where that is an array, of its elements. */
  #leaf(value: Sql, test: Test): Sql {
    if (isAboutWholeArray(test) || test.kind === 'exists') return this.#single(value, test);
    // Containment is just this for a scalar: jsonb has '[1,2]' @> '1', and '1' @> '1', but not '[[1]]' @> '1'.
    if (test.kind === 'equal' && (typeof test.value !== 'object' || test.value === null)) {
      const missing = raw(test.value === null ? 'TRUE' : 'FALSE');
      return sql`coalesce(${value} @> ${JSON.stringify(test.value)}::jsonb, ${missing})`;
    }
    const inArray = this.#someElement(value, test);
    const typed = typedSql(test);
    if (typed !== undefined) {
      return sql`(CASE jsonb_typeof(${value}) WHEN ${typed.type} THEN ${typed.says(value)} WHEN 'array' THEN ${inArray} ELSE FALSE END)`;
    }
    const itself = this.#single(value, test);
    const whole = mayEqualArray(test) ? sql`${inArray} OR ${itself}` : inArray;
    return sql`(CASE jsonb_typeof(${value}) WHEN 'array' THEN ${whole} ELSE ${itself} END)`;
  }

  #someElement(array: Sql, test: Test): Sql {
    const inOneGo = pathExistsSql(array, [], test) ?? someElementSql(array, test, this.#now);
    if (inOneGo !== undefined) return inOneGo;
    const element = this.#alias();
    return sql`EXISTS (SELECT FROM jsonb_array_elements(${array}) AS ${element} WHERE ${this.#single(element, test)})`;
  }

  /** The test of one value as it is. */
  #single(value: Sql, test: Test): Sql {
    if (test.kind === 'elements') return this.#elements(value, test);
    const typed = typedSql(test);
    if (typed !== undefined) {
      return sql`(CASE jsonb_typeof(${value}) WHEN ${typed.type} THEN ${typed.says(value)} ELSE FALSE END)`;
    }
    return sql`coalesce(${untypedSql(value, test, this.#now)}, ${raw(matchesMissing(test) ? 'TRUE' : 'FALSE')})`;
  }

  #elements(value: Sql, test: Extract<Test, { kind: 'elements' }>): Sql {
    const { as, condition } = test;
    const isPlain = as === 'values' || !speaksOfIndexes(condition);
    const inOneGo = isPlain ? elementExistsSql(value, test) : undefined;
    if (inOneGo !== undefined) return sql`(CASE jsonb_typeof(${value}) WHEN 'array' THEN ${inOneGo} ELSE FALSE END)`;
    const element = this.#alias();
    const elements = sql`jsonb_array_elements(${value}) AS ${element}`;
    const some = (from: Sql, where: Sql) =>
      sql`(CASE jsonb_typeof(${value}) WHEN 'array' THEN EXISTS (SELECT FROM ${from} WHERE ${where}) ELSE FALSE END)`;
    if (as === 'values') {
      return some(
        elements,
        this.condition(condition, (_, inner) => this.#single(element, inner)),
      );
    }
    if (isPlain) {
      // An array in the array has none of these names, as a document or as jsonb.
      const matches = this.condition(condition, (path, inner) => this.field(element, path, inner));
      return some(elements, sql`jsonb_typeof(${element}) IN ('object', 'array') AND ${matches}`);
    }
    const documents = this.#alias();
    const document = sql`${documents}.document`;
    const matches = this.condition(condition, (path, inner) => this.field(document, path, inner));
    return some(
      sql`${elements}, LATERAL (${documentSql(element)}) AS ${documents}`,
      sql`${document} IS NOT NULL AND ${matches}`,
    );
  }

  /** A name of our own for a row, unlike any the caller would use. */
  #alias(): Sql {
    this.#aliases += 1;
    return raw(`kohort_${this.#aliases}`);
  }
}

/** From each value of a path to the values of its next name. */
function stepSql(from: Sql, name: string): Sql {
  const index = indexOf(name);
  const byIndex =
    index < 0
      ? empty
      : sql` UNION ALL SELECT ${from}.v -> ${index}::int, TRUE WHERE jsonb_typeof(${from}.v) = 'array' AND jsonb_array_length(${from}.v) > ${index}::int`;
  return sql`SELECT e -> ${name}::text AS v, FALSE AS named FROM jsonb_array_elements(CASE jsonb_typeof(${from}.v) WHEN 'array' THEN ${from}.v ELSE jsonb_build_array(${from}.v) END) AS e WHERE jsonb_typeof(e) = 'object' OR (jsonb_typeof(${from}.v) IS DISTINCT FROM 'array' AND NOT ${from}.named)${byIndex}`;
}

/**
 * An element of an array as a document; an array in the array is one with its indexes for names, as in MongoDB.
 * `OFFSET 0` keeps the planner from writing this out wherever the document is mentioned.
 */
function documentSql(element: Sql): Sql {
  return sql`SELECT CASE jsonb_typeof(${element}) WHEN 'object' THEN ${element} WHEN 'array' THEN (SELECT coalesce(jsonb_object_agg((i - 1)::text, e), '{}') FROM jsonb_array_elements(${element}) WITH ORDINALITY AS items (e, i)) END AS document OFFSET 0`;
}

/** Whether a path begins with what jsonb might take for an index: it reads `-1` and `01` as such. */
function speaksOfIndexes(condition: Condition<never>): boolean {
  switch (condition.kind) {
    case 'and':
    case 'or':
      return condition.of.some(speaksOfIndexes);
    case 'not':
      return speaksOfIndexes(condition.of);
    case 'field':
      return /[0-9]/.test(condition.path[0] ?? '');
    default:
      return false;
  }
}

function mayEqualArray(test: Test): boolean {
  if (test.kind === 'equal') return Array.isArray(test.value);
  if (test.kind === 'type') return test.types.includes('array');
  return test.kind === 'in' && test.values.some(Array.isArray);
}
