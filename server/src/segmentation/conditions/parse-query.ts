import { isObject } from '@kohort/contract';
import type { Condition, Path, Test } from './condition.ts';
import { maxDepth } from './limits.ts';
import { isOperators, readList, readPath, readScalars } from './operands.ts';
import { type Findings, pointer, quote } from './parse-errors.ts';
import { equalTest, inAnyCase, parseTest } from './parse-test.ts';

/** `toRef` reads the operand of `$inSegment`; it is undefined inside `$elemMatch`. */
export interface Scope<Ref> {
  readonly findings: Findings;
  readonly depth: number;
  readonly toRef: ((operand: unknown) => Ref | undefined) | undefined;
}

// After a refusal the parser goes on with a condition that is never used, to find the other errors too.
const nothing = { kind: 'or', of: [] } as const satisfies Condition<never>;

function refuse(scope: Scope<unknown>, at: string, message: string): typeof nothing {
  scope.findings.refuse(at, message);
  return nothing;
}

function countNode(scope: Scope<unknown>, at: string): boolean {
  return scope.findings.node(at, { inElements: scope.toRef === undefined });
}

function deeper<Ref>(scope: Scope<Ref>): Scope<Ref> {
  return { ...scope, depth: scope.depth + 1 };
}

/** Parses a query: conditions of which every one must say yes. */
export function parseQuery<Ref>(input: unknown, scope: Scope<Ref>, at: string): Condition<Ref> {
  if (scope.depth > maxDepth) return refuse(scope, at, `operators stand at most ${maxDepth} deep in each other`);
  if (!isObject(input)) return refuse(scope, at, 'expected a query object');
  return all(Object.entries(input).map(([name, operand]) => parseEntry(name, operand, scope, pointer(at, name))));
}

function parseEntry<Ref>(name: string, operand: unknown, scope: Scope<Ref>, at: string): Condition<Ref> {
  switch (name) {
    case '$and':
      return { kind: 'and', of: parseQueries(operand, scope, at) };
    case '$or':
      return { kind: 'or', of: parseQueries(operand, scope, at) };
    case '$nor':
      return not({ kind: 'or', of: parseQueries(operand, scope, at) });
    case '$inSegment':
      return parseSegment(operand, scope, at);
    case '$notInSegment':
      return not(parseSegment(operand, scope, at));
  }
  if (fieldOperators.has(name)) return refuse(scope, at, `${name} stands inside a field: {"age": {"${name}": …}}`);
  if (name.startsWith('$')) return refuse(scope, at, `unknown operator ${quote(name)}`);
  const path = readPath(name, scope.findings, at);
  if (path === undefined) return nothing;
  return isOperators(operand) ? parseOperators(operand, path, scope, at) : equal(operand, path, scope, at);
}

function parseQueries<Ref>(operand: unknown, scope: Scope<Ref>, at: string): readonly Condition<Ref>[] {
  if (!countNode(scope, at)) return [];
  const queries = readList(operand, scope.findings, at);
  if (queries?.length === 0) scope.findings.refuse(at, 'expected a list of at least one query');
  return (queries ?? []).map((query, index) => parseQuery(query, deeper(scope), pointer(at, index)));
}

function parseSegment<Ref>(operand: unknown, scope: Scope<Ref>, at: string): Condition<Ref> {
  if (!countNode(scope, at)) return nothing;
  if (scope.toRef === undefined) return refuse(scope, at, 'segments hold users, so they stand outside of $elemMatch');
  const segment = scope.toRef(operand);
  return segment === undefined ? refuse(scope, at, 'expected the slug of a segment') : { kind: 'segment', segment, at };
}

const fieldOperators: ReadonlySet<string> = new Set(
  (
    '$eq $ne $gt $gte $lt $lte $in $nin $ini $nini $exists $type $size $mod $all $alli $elemMatch $regex $options $not ' +
    '$before $after $vgt $vgte $vlt $vlte $veq $vne'
  ).split(' '),
);

/** Parses what stands inside a field, e.g. `{"$gt": 1, "$lt": 5}`: every operator must say yes. */
function parseOperators<Ref>(
  operators: Readonly<Record<string, unknown>>,
  path: Path,
  scope: Scope<Ref>,
  at: string,
): Condition<Ref> {
  const found: Condition<Ref>[] = [];
  for (const [name, operand] of Object.entries(operators)) {
    const here = pointer(at, name);
    if (name === '$options') {
      if (!Object.hasOwn(operators, '$regex')) refuse(scope, here, '$options goes with $regex');
      if (operand !== 'i') refuse(scope, here, 'expected "i"');
    } else if (!fieldOperators.has(name)) {
      refuse(scope, here, name.startsWith('$') ? `unknown operator ${quote(name)}` : 'expected operators only');
    } else if (countNode(scope, here)) {
      found.push(parseOperator(name, operand, operators, path, scope, here));
    }
  }
  return all(found);
}

function parseOperator<Ref>(
  name: string,
  operand: unknown,
  siblings: Readonly<Record<string, unknown>>,
  path: Path,
  scope: Scope<Ref>,
  at: string,
): Condition<Ref> {
  switch (name) {
    case '$exists':
      if (typeof operand !== 'boolean') return refuse(scope, at, 'expected true or false');
      return operand
        ? { kind: 'field', path, test: { kind: 'exists' } }
        : not({ kind: 'field', path, test: { kind: 'exists' } });
    case '$all':
      return parseAll(operand, path, scope, at);
    case '$alli':
      return parseAllInAnyCase(operand, path, scope, at);
    case '$not': {
      if (scope.depth === maxDepth) return refuse(scope, at, `operators stand at most ${maxDepth} deep in each other`);
      if (!isOperators(operand)) return refuse(scope, at, 'expected operators, e.g. {"$not": {"$gt": 1}}');
      return not(parseOperators(operand, path, deeper(scope), at));
    }
  }
  const positive = negations[name];
  const test =
    name === '$elemMatch'
      ? elementsTest(operand, scope, at)
      : parseTest(positive ?? name, operand, siblings, scope.findings, at);
  if (test === undefined) return nothing;
  const field: Condition<Ref> = { kind: 'field', path, test };
  return positive === undefined ? field : not(field);
}

/** Operators that deny the whole match of another. */
const negations: Readonly<Record<string, string>> = { $ne: '$eq', $nin: '$in', $nini: '$ini', $vne: '$veq' };

function equal<Ref>(operand: unknown, path: Path, scope: Scope<Ref>, at: string): Condition<Ref> {
  if (!countNode(scope, at)) return nothing;
  const test = equalTest(operand, scope.findings, at);
  return test === undefined ? nothing : { kind: 'field', path, test };
}

/** `$all` is an `$and` of equalities, or of `$elemMatch`; an empty one matches no user, as in MongoDB. */
function parseAll<Ref>(operand: unknown, path: Path, scope: Scope<Ref>, at: string): Condition<Ref> {
  const entries = readList(operand, scope.findings, at);
  if (entries === undefined || entries.length === 0) return nothing;
  const nested = entries.some(isOperators);
  const found = entries.map((entry, index): Condition<Ref> => {
    const here = pointer(at, index);
    if (!nested) return equal(entry, path, scope, here);
    if (!isOperators(entry) || Object.keys(entry).join() !== '$elemMatch') {
      return refuse(scope, here, 'expected values only, or {"$elemMatch": …} only');
    }
    return parseOperators(entry, path, scope, here);
  });
  return { kind: 'and', of: found };
}

/** `$alli` is an `$and` of equalities without regard to case; an empty one matches no user, like `$all`. */
function parseAllInAnyCase<Ref>(operand: unknown, path: Path, scope: Scope<Ref>, at: string): Condition<Ref> {
  const entries = readList(operand, scope.findings, at);
  const values = entries && readScalars(entries, scope.findings, at);
  if (values === undefined || values.length === 0) return nothing;
  const found = values.map((value, index): Condition<Ref> => {
    if (!countNode(scope, pointer(at, index))) return nothing;
    return { kind: 'field', path, test: { kind: 'inAnyCase', values: [inAnyCase(value)] } };
  });
  return { kind: 'and', of: found };
}

/** `$elemMatch` holds operators for each element itself, or else a query for each element that is a document. */
function elementsTest(operand: unknown, scope: Scope<unknown>, at: string): Test | undefined {
  const inner: Scope<never> = { findings: scope.findings, depth: scope.depth + 1, toRef: undefined };
  if (isOperators(operand) && Object.keys(operand).every((name) => fieldOperators.has(name))) {
    if (inner.depth > maxDepth)
      return scope.findings.refuse(at, `operators stand at most ${maxDepth} deep in each other`);
    return { kind: 'elements', as: 'values', condition: parseOperators(operand, [], inner, at) };
  }
  return { kind: 'elements', as: 'documents', condition: parseQuery(operand, inner, at) };
}

function all<Ref>(conditions: readonly Condition<Ref>[]): Condition<Ref> {
  const [only] = conditions;
  return conditions.length === 1 && only !== undefined ? only : { kind: 'and', of: conditions };
}

function not<Ref>(condition: Condition<Ref>): Condition<Ref> {
  return { kind: 'not', of: condition };
}
