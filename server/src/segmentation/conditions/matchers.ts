import type { Comparison, Scalar, Test } from './condition.ts';
import { compareText, equals, isArray, isPlainlyOrdered, type Json } from './json.ts';
import type { Pattern } from './regex.ts';
import { compareVersions, parseVersion, type Version } from './version.ts';

/** A compiled test of one value; undefined stands for a missing one. */
export type ValueTest = (value: Json | undefined) => boolean;

/** A test of an element's contents, compiled by the caller, who knows of conditions. */
export type ElementTest = (element: Json) => boolean;

const NEVER: ValueTest = () => false;
const IS_NULL: ValueTest = (value) => value === undefined || value === null;

/** Compiles a test of one value as it is: an array is not looked into, unless the test is of arrays. */
export function compileTest(test: Exclude<Test, { kind: 'elements' }>): ValueTest {
  switch (test.kind) {
    case 'equal':
      return equalTest(test.value);
    case 'in':
      return inTest(test.values);
    case 'compare':
      return comparisonTest(test.operator, test.value);
    case 'exists':
      return (value) => value !== undefined;
    case 'size':
      return (value) => isArray(value) && value.length === test.size;
    case 'pattern':
      return patternTest(test.pattern);
    case 'version':
      return versionTest(test.operator, test.version);
  }
}

/** Compiles `$elemMatch`: an array that holds an element like this. */
export function compileElementsTest(element: ElementTest): ValueTest {
  return (value) => {
    if (!isArray(value)) return false;
    for (const entry of value) if (element(entry)) return true;
    return false;
  };
}

/** Puts a test to the value and, where that is an array, to each of its elements: a scalar matches an array that holds it. */
export function withElements(test: ValueTest): ValueTest {
  return (value) => {
    if (typeof value === 'object' && isArray(value)) {
      for (const entry of value) if (test(entry)) return true;
    }
    return test(value);
  };
}

function equalTest(expected: Json): ValueTest {
  if (expected === null) return IS_NULL;
  if (typeof expected === 'object') return (value) => equals(value, expected);
  return (value) => value === expected;
}

function inTest(values: readonly Json[]): ValueTest {
  const scalars: ReadonlySet<Json> = new Set(values.filter((value) => typeof value !== 'object' || value === null));
  const nested = values.filter((value) => typeof value === 'object' && value !== null);
  const hasNull = scalars.has(null);
  if (nested.length === 0) return (value) => (value === undefined ? hasNull : scalars.has(value));
  return (value) =>
    value === undefined ? hasNull : scalars.has(value) || nested.some((expected) => equals(value, expected));
}

function comparisonTest(operator: Comparison, expected: Scalar): ValueTest {
  switch (typeof expected) {
    case 'number':
      return numberTest(operator, expected);
    case 'string':
      return textTest(operator, expected);
    case 'boolean': {
      const test = numberTest(operator, Number(expected));
      return (value) => typeof value === 'boolean' && test(Number(value));
    }
    default:
      return operator === 'gte' || operator === 'lte' ? IS_NULL : NEVER;
  }
}

function numberTest(operator: Comparison, expected: number): ValueTest {
  switch (operator) {
    case 'gt':
      return (value) => typeof value === 'number' && value > expected;
    case 'gte':
      return (value) => typeof value === 'number' && value >= expected;
    case 'lt':
      return (value) => typeof value === 'number' && value < expected;
    case 'lte':
      return (value) => typeof value === 'number' && value <= expected;
  }
}

function textTest(operator: Comparison, expected: string): ValueTest {
  if (!isPlainlyOrdered(expected)) {
    const accepts = ORDERS[operator];
    return (value) => typeof value === 'string' && accepts(compareText(value, expected));
  }
  switch (operator) {
    case 'gt':
      return (value) => typeof value === 'string' && value > expected;
    case 'gte':
      return (value) => typeof value === 'string' && value >= expected;
    case 'lt':
      return (value) => typeof value === 'string' && value < expected;
    case 'lte':
      return (value) => typeof value === 'string' && value <= expected;
  }
}

function patternTest({ matches }: Pattern): ValueTest {
  return (value) => typeof value === 'string' && matches(value);
}

function versionTest(operator: Comparison | 'eq', expected: Version): ValueTest {
  const accepts = ORDERS[operator];
  return (value) => {
    const version = typeof value === 'string' ? parseVersion(value) : undefined;
    return version !== undefined && accepts(compareVersions(version, expected));
  };
}

const ORDERS: Readonly<Record<Comparison | 'eq', (order: number) => boolean>> = {
  eq: (order) => order === 0,
  gt: (order) => order > 0,
  gte: (order) => order >= 0,
  lt: (order) => order < 0,
  lte: (order) => order <= 0,
};
