import sql, { empty, join, raw, type Sql } from 'sql-template-tag';
import { type Condition, indexOf, isAboutWholeArray, matchesMissing, type Path, type Test } from '../condition.ts';
import { equalities } from './equalities.ts';
import { isExpressible, mayEqualArray, usesIndexes } from './expressible.ts';
import { elementExistsSql, pathExistsSql } from './jsonpath.ts';
import { someElementSql, typedSql, untypedSql } from './matchers.ts';
import { documentSql, stepSql } from './unfold.ts';

/** The names of what surrounds the condition in a statement. */
export interface SqlContext {
  /** The user's attributes: an expression of type jsonb, an object, never null. */
  readonly attributes: Sql;
  /** Whether the user is in a segment: a boolean expression. */
  readonly inSegment: (segmentId: number) => Sql;
  /** The moment that is asked about, in milliseconds since 1970. */
  readonly now: number;
  /**
   * Whether subqueries may nest, or unfold the arrays along a path. Citus pushes neither down to shards, only a subquery over the
   * elements of one array.
   */
  readonly mayUnfold: boolean;
}

/** A statement carries at most 65,535 parameters; conditions get half, the rest of the statement the other half. */
const maxParameters = 32_000;

/**
 * Compiles a condition to a boolean SQL expression that is never null and gives exactly the answer of `compileCondition`.
 * Undefined where SQL cannot express it (patterns that the two engines may read differently, or subqueries that the database
 * refuses): the caller then streams users and evaluates them in process. Values from the user are always parameters.
 */
export function conditionSql(condition: Condition<number>, context: SqlContext): Sql | undefined {
  return built(condition, context, (builder, field) => builder.condition(condition, field));
}

/**
 * The same for a WHERE, where null counts as false, so the expression may be null. Equalities take the form that an index on an
 * attribute supports.
 */
export function filterSql(condition: Condition<number>, context: SqlContext): Sql | undefined {
  return built(condition, context, (builder, field) => builder.filter(condition, field));
}

function built(
  condition: Condition<number>,
  context: SqlContext,
  build: (builder: Builder, field: FieldSql) => Sql,
): Sql | undefined {
  if (!isExpressible(condition)) return undefined;
  const builder = new Builder(context);
  let parameters = 0;
  const expression = build(builder, (path, test) => {
    // A thousand fields may take hundreds of thousands: what is too long already is not made longer.
    if (parameters > maxParameters) return empty;
    const field = builder.field(context.attributes, path, test);
    parameters += field.values.length;
    return field;
  });
  if (builder.hasUnfolded && !context.mayUnfold) return undefined;
  return Math.max(parameters, expression.values.length) > maxParameters ? undefined : expression;
}

type FieldSql = (path: Path, test: Test) => Sql;

function junction(parts: readonly Sql[], separator: string, whenEmpty: string): Sql {
  return parts.length === 0 ? raw(whenEmpty) : join(parts, separator, '(', ')');
}

class Builder {
  readonly #inSegment: (segmentId: number) => Sql;
  readonly #now: number;
  readonly #attributes: Sql;
  #aliases = 0;
  #depth = 0;
  #hasUnfolded = false;

  constructor({ attributes, inSegment, now }: SqlContext) {
    this.#attributes = attributes;
    this.#inSegment = inSegment;
    this.#now = now;
  }

  /** Whether the expression holds a subquery as {@link SqlContext.mayUnfold} allows it. */
  get hasUnfolded(): boolean {
    return this.#hasUnfolded;
  }

  condition(condition: Condition<number>, field: FieldSql): Sql {
    switch (condition.kind) {
      case 'and':
        return junction(this.#all(condition.of, field), ' AND ', 'TRUE');
      case 'or':
        return junction(this.#all(condition.of, field), ' OR ', 'FALSE');
      case 'not':
        return sql`(NOT ${this.condition(condition.of, field)})`;
      case 'segment':
        return sql`coalesce((${this.#inSegment(condition.segment)}), FALSE)`;
      case 'field':
        return field(condition.path, condition.test);
    }
  }

  #all(of: readonly Condition<number>[], field: FieldSql): Sql[] {
    return of.map((part) => this.condition(part, field));
  }

  /** The same, where null is as good as false. */
  filter(condition: Condition<number>, field: FieldSql): Sql {
    const parts = (of: readonly Condition<number>[]) => of.map((part) => this.filter(part, field));
    switch (condition.kind) {
      case 'and':
        return junction(parts(condition.of), ' AND ', 'TRUE');
      case 'or':
        return junction(parts(condition.of), ' OR ', 'FALSE');
      case 'field': {
        const values = equalities(condition.path, condition.test);
        if (!values) return field(condition.path, condition.test);
        // See #leaf: containment is equality for a scalar, also in an array.
        const value = sql`(${this.#attributes} -> ${condition.path[0]}::text)`;
        return junction(
          values.map((one) => sql`${value} @> ${JSON.stringify(one)}::jsonb`),
          ' OR ',
          'FALSE',
        );
      }
      default:
        return this.condition(condition, field);
    }
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
    this.#hasUnfolded = true;
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
    return this.#nested(
      () => sql`EXISTS (SELECT FROM jsonb_array_elements(${array}) AS ${element} WHERE ${this.#single(element, test)})`,
    );
  }

  /** A subquery, in which others may stand. */
  #nested(subquery: () => Sql): Sql {
    if (this.#depth > 0) this.#hasUnfolded = true;
    this.#depth += 1;
    try {
      return subquery();
    } finally {
      this.#depth -= 1;
    }
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
    const isPlain = as === 'values' || !usesIndexes(condition);
    const inOneGo = isPlain ? elementExistsSql(value, test) : undefined;
    if (inOneGo !== undefined) return sql`(CASE jsonb_typeof(${value}) WHEN 'array' THEN ${inOneGo} ELSE FALSE END)`;
    return this.#nested(() => this.#someOf(value, test, isPlain));
  }

  #someOf(value: Sql, { as, condition }: Extract<Test, { kind: 'elements' }>, isPlain: boolean): Sql {
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
    this.#hasUnfolded = true;
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
