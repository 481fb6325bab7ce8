import type { ArrayDigest, Range } from './array-digest.ts';
import type { Comparison, JsonType, Scalar, Test } from './condition.ts';
import type { Evaluation } from './evaluation.ts';
import { type Instant, instantOf } from './instant.ts';
import { canonicalText, compareText, equals, isArray, isPlainlyOrdered, type Json } from './json.ts';
import type { Pattern } from './regex.ts';
import { typesOf } from './types.ts';

/** A compiled test of one value; undefined stands for a missing one. */
export type ValueTest = (value: Json | undefined, evaluation: Evaluation) => boolean;

/** A test of an element's contents, compiled by the caller, who knows of conditions. */
export type ElementTest = (element: Json, evaluation: Evaluation) => boolean;

export interface CompiledTest {
  /** Of one value as it is: an array is not looked into, unless the test is of arrays. */
  readonly single: ValueTest;
  /** Whether any element of an array passes, answered from the array's digest. */
  readonly some: (digest: ArrayDigest, evaluation: Evaluation) => boolean;
}

const isNull: ValueTest = (value) => value === undefined || value === null;
const never = () => false;

export function compileTest(test: Exclude<Test, { kind: 'elements' }>): CompiledTest {
  switch (test.kind) {
    case 'equal':
      return equalTest(test.value);
    case 'in':
      return inTest(test.values);
    case 'inAnyCase':
      return inAnyCaseTest(test.values);
    case 'type':
      return typeTest(test.types);
    case 'mod':
      return modTest(test.divisor, test.remainder);
    case 'instant':
      return instantTest(test.order, test.instant);
    case 'compare':
      return comparisonTest(test.operator, test.value);
    case 'exists':
      return { single: (value) => value !== undefined, some: never };
    case 'size':
      return { single: (value) => isArray(value) && value.length === test.size, some: never };
    case 'pattern':
      return patternTest(test.pattern);
    case 'version':
      return versionTest(test.operator, test.key);
  }
}

/** Compiles `$elemMatch`: an array that holds an element like this. */
export function compileElementsTest(element: ElementTest): CompiledTest {
  const single: ValueTest = (value, evaluation) => {
    if (!isArray(value)) return false;
    for (const entry of value) if (element(entry, evaluation)) return true;
    return false;
  };
  return { single, some: never };
}

/** Puts a test to the value and, where that is an array, to each of its elements: a scalar matches an array that holds it. */
export function withElements({ single, some }: CompiledTest): ValueTest {
  return (value, evaluation) => {
    if (typeof value === 'object' && isArray(value)) {
      const digest = evaluation.digestOf(value);
      if (digest === undefined) {
        for (const entry of value) if (single(entry, evaluation)) return true;
      } else if (some(digest, evaluation)) {
        return true;
      }
    }
    return single(value, evaluation);
  };
}

function equalTest(expected: Json): CompiledTest {
  if (expected === null) return { single: isNull, some: ({ scalars }) => scalars.has(null) };
  if (typeof expected === 'object') {
    const text = canonicalText(expected);
    return { single: (value) => equals(value, expected), some: ({ nested }) => nested.has(text) };
  }
  return { single: (value) => value === expected, some: ({ scalars }) => scalars.has(expected) };
}

function inTest(values: readonly Json[]): CompiledTest {
  const scalars: ReadonlySet<Json> = new Set(values.filter((value) => typeof value !== 'object' || value === null));
  const nested: ReadonlySet<string> = new Set(
    values.filter((value) => typeof value === 'object' && value !== null).map(canonicalText),
  );
  const hasNull = scalars.has(null);
  const single: ValueTest = (value, evaluation) => {
    if (value === undefined) return hasNull;
    if (typeof value !== 'object' || value === null) return scalars.has(value);
    return nested.size > 0 && nested.has(evaluation.canonicalText(value));
  };
  return {
    single,
    some: (digest) => intersect(scalars, digest.scalars) || (nested.size > 0 && intersect(nested, digest.nested)),
  };
}

function inAnyCaseTest(values: readonly Scalar[]): CompiledTest {
  const texts: ReadonlySet<string> = new Set(values.filter((value) => typeof value === 'string'));
  const others: ReadonlySet<Json> = new Set(values.filter((value) => typeof value !== 'string'));
  const hasNull = others.has(null);
  const single: ValueTest = (value, evaluation) => {
    if (typeof value === 'string') return texts.has(evaluation.foldCase(value));
    return value === undefined ? hasNull : others.has(value);
  };
  return {
    single,
    some: (digest) =>
      (others.size > 0 && intersect(others, digest.scalars)) ||
      (texts.size > 0 && intersect(texts, digest.foldedTexts)),
  };
}

function typeTest(types: readonly JsonType[]): CompiledTest {
  return {
    single: (value) => value !== undefined && typesOf(value).some((type) => types.includes(type)),
    some: (digest) => types.some((type) => digest.types.has(type)),
  };
}

/** As in MongoDB a fraction is cut off first and the remainder has the sign of the value. */
function modTest(divisor: number, remainder: number): CompiledTest {
  const leaves = (value: number) =>
    Math.abs(value) <= Number.MAX_SAFE_INTEGER && Math.trunc(value) % divisor === remainder;
  return {
    single: (value) => typeof value === 'number' && leaves(value),
    some: ({ numbers }) => numbers.some(leaves),
  };
}

function instantTest(order: 'before' | 'after', instant: Instant): CompiledTest {
  const compares = instantComparison(order, instant);
  const single: ValueTest = (value, evaluation) => {
    const found = instantOf(value);
    return found !== undefined && compares(found, evaluation);
  };
  const some: CompiledTest['some'] = ({ instantRange }, evaluation) =>
    instantRange !== null && compares(order === 'before' ? instantRange.least : instantRange.greatest, evaluation);
  return { single, some };
}

/** Where the operand moves with the moment of the read, the answer has a moment at which it changes: that is noted. */
function instantComparison(
  order: 'before' | 'after',
  instant: Instant,
): (found: number, evaluation: Evaluation) => boolean {
  if (instant.kind === 'fixed') {
    const { ms } = instant;
    return order === 'before' ? (found) => found < ms : (found) => found > ms;
  }
  const { offsetMs } = instant;
  if (order === 'before') {
    return (found, evaluation) => {
      evaluation.changesAt(Math.floor(found - offsetMs) + 1);
      return found < evaluation.now + offsetMs;
    };
  }
  return (found, evaluation) => {
    evaluation.changesAt(Math.ceil(found - offsetMs));
    return found > evaluation.now + offsetMs;
  };
}

function intersect<T>(a: ReadonlySet<T>, b: ReadonlySet<T>): boolean {
  const [small, large] = a.size <= b.size ? [a, b] : [b, a];
  for (const value of small) if (large.has(value)) return true;
  return false;
}

/** Whether any value of a range passes: of what is ordered, its end decides. */
function someInRange<T>(range: Range<T> | null, operator: Comparison, compare: (value: T) => boolean): boolean {
  if (range === null) return false;
  return compare(operator === 'gt' || operator === 'gte' ? range.greatest : range.least);
}

function comparisonTest(operator: Comparison, expected: Scalar): CompiledTest {
  switch (typeof expected) {
    case 'number': {
      const compares = numberComparison(operator, expected);
      return {
        single: (value) => typeof value === 'number' && compares(value),
        some: ({ numberRange }) => someInRange(numberRange, operator, compares),
      };
    }
    case 'string': {
      const compares = textComparison(operator, expected);
      return {
        single: (value) => typeof value === 'string' && compares(value),
        some: ({ textRange }) => someInRange(textRange, operator, compares),
      };
    }
    case 'boolean': {
      const compares = numberComparison(operator, Number(expected));
      const single: ValueTest = (value) => typeof value === 'boolean' && compares(Number(value));
      return {
        single,
        some: ({ scalars }) => [true, false].some((value) => scalars.has(value) && compares(Number(value))),
      };
    }
    default:
      // Null equals itself and missing; nothing is above or below it.
      return operator === 'gte' || operator === 'lte' ? equalTest(null) : { single: never, some: never };
  }
}

function numberComparison(operator: Comparison, expected: number): (value: number) => boolean {
  switch (operator) {
    case 'gt':
      return (value) => value > expected;
    case 'gte':
      return (value) => value >= expected;
    case 'lt':
      return (value) => value < expected;
    case 'lte':
      return (value) => value <= expected;
  }
}

function textComparison(operator: Comparison, expected: string): (value: string) => boolean {
  if (isPlainlyOrdered(expected)) return plainTextComparison(operator, expected);
  const accepts = numberComparison(operator, 0);
  return (value) => accepts(compareText(value, expected));
}

function plainTextComparison(operator: Comparison, expected: string): (value: string) => boolean {
  switch (operator) {
    case 'gt':
      return (value) => value > expected;
    case 'gte':
      return (value) => value >= expected;
    case 'lt':
      return (value) => value < expected;
    case 'lte':
      return (value) => value <= expected;
  }
}

function patternTest(pattern: Pattern): CompiledTest {
  return {
    single: (value, evaluation) => typeof value === 'string' && evaluation.matches(pattern, value),
    some: ({ texts }, evaluation) => texts.some((text) => evaluation.matches(pattern, text)),
  };
}

function versionTest(operator: Comparison | 'eq', expected: string): CompiledTest {
  if (operator === 'eq') {
    return {
      single: (value, evaluation) => typeof value === 'string' && evaluation.versionKey(value) === expected,
      some: ({ versions }) => versions.has(expected),
    };
  }
  const compares = plainTextComparison(operator, expected);
  const single: ValueTest = (value, evaluation) => {
    const key = typeof value === 'string' ? evaluation.versionKey(value) : undefined;
    return key !== undefined && compares(key);
  };
  return { single, some: ({ versionRange }) => someInRange(versionRange, operator, compares) };
}
