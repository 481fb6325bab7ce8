import { isObject, isStorableText } from '@kohort/contract';
import { type Condition, jsonTypes, type Path, type Scalar, type Test } from './condition.ts';
import { parseInstantOperand } from './instant.ts';
import { isArray } from './json.ts';
import { foldCase } from './letter-case.ts';
import { MAX_DEPTH, MAX_VERSION_LENGTH } from './limits.ts';
import { isOperators, readList, readPath, readScalar, readScalars, readValue, readValues } from './operands.ts';
import { type ConditionError, Findings, pointer } from './parse-errors.ts';
import { versionKey } from './version.ts';

export type Parsed<Ref> =
  | { readonly ok: true; readonly condition: Condition<Ref> }
  | { readonly ok: false; readonly errors: readonly ConditionError[] };

/**
 * Parses a condition as it stands on the wire, where segments are named by slug.
 * `at` is the pointer to the condition within the request, and begins the path of every error.
 */
export function parseCondition(input: unknown, at = ''): Parsed<string> {
  return parse(input, at, (operand) => (typeof operand === 'string' && SLUG.test(operand) ? operand : undefined));
}

/** Parses a condition as it is stored, where segments are named by id. */
export function parseStoredCondition(input: unknown, at = ''): Parsed<number> {
  return parse(input, at, (operand) =>
    typeof operand === 'number' && Number.isSafeInteger(operand) && operand > 0 ? operand : undefined,
  );
}

/** The names of a dotted path, e.g. of `bucket_by`; undefined for a text that no condition could have for a path. */
export function attributePath(text: string): Path | undefined {
  return readPath(text, new Findings(), '');
}

const SLUG = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,254}$/;

function parse<Ref>(input: unknown, at: string, toRef: (operand: unknown) => Ref | undefined): Parsed<Ref> {
  const findings = new Findings();
  const condition = parseQuery(input, { findings, depth: 0, toRef }, at);
  return findings.errors.length === 0 ? { ok: true, condition } : { ok: false, errors: findings.errors };
}

/** `toRef` reads the operand of `$inSegment`; it is undefined inside `$elemMatch`. */
interface Scope<Ref> {
  readonly findings: Findings;
  readonly depth: number;
  readonly toRef: ((operand: unknown) => Ref | undefined) | undefined;
}

// After a refusal the parser goes on with a condition that is never used, to find the other errors too.
const NOTHING = { kind: 'or', of: [] } as const satisfies Condition<never>;

function refuse(scope: Scope<unknown>, at: string, message: string): typeof NOTHING {
  scope.findings.refuse(at, message);
  return NOTHING;
}

function countNode(scope: Scope<unknown>, at: string): boolean {
  return scope.findings.node(at, { inElements: scope.toRef === undefined });
}

function deeper<Ref>(scope: Scope<Ref>): Scope<Ref> {
  return { ...scope, depth: scope.depth + 1 };
}

function parseQuery<Ref>(input: unknown, scope: Scope<Ref>, at: string): Condition<Ref> {
  if (scope.depth > MAX_DEPTH) return refuse(scope, at, `operators stand at most ${MAX_DEPTH} deep in each other`);
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
  if (FIELD_OPERATORS.has(name)) return refuse(scope, at, `${name} stands inside a field: {"age": {"${name}": …}}`);
  if (name.startsWith('$')) return refuse(scope, at, `unknown operator ${quote(name)}`);
  const path = readPath(name, scope.findings, at);
  if (path === undefined) return NOTHING;
  return isOperators(operand) ? parseOperators(operand, path, scope, at) : equal(operand, path, scope, at);
}

function parseQueries<Ref>(operand: unknown, scope: Scope<Ref>, at: string): readonly Condition<Ref>[] {
  if (!countNode(scope, at)) return [];
  const queries = readList(operand, scope.findings, at);
  if (queries?.length === 0) scope.findings.refuse(at, 'expected a list of at least one query');
  return (queries ?? []).map((query, index) => parseQuery(query, deeper(scope), pointer(at, index)));
}

function parseSegment<Ref>(operand: unknown, scope: Scope<Ref>, at: string): Condition<Ref> {
  if (!countNode(scope, at)) return NOTHING;
  if (scope.toRef === undefined) return refuse(scope, at, 'segments hold users, so they stand outside of $elemMatch');
  const segment = scope.toRef(operand);
  return segment === undefined ? refuse(scope, at, 'expected the slug of a segment') : { kind: 'segment', segment, at };
}

const FIELD_OPERATORS: ReadonlySet<string> = new Set(
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
    } else if (!FIELD_OPERATORS.has(name)) {
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
      if (scope.depth === MAX_DEPTH)
        return refuse(scope, at, `operators stand at most ${MAX_DEPTH} deep in each other`);
      if (!isOperators(operand)) return refuse(scope, at, 'expected operators, e.g. {"$not": {"$gt": 1}}');
      return not(parseOperators(operand, path, deeper(scope), at));
    }
  }
  const positive = NEGATIONS[name];
  const test = parseTest(positive ?? name, operand, siblings, scope, at);
  if (test === undefined) return NOTHING;
  const field: Condition<Ref> = { kind: 'field', path, test };
  return positive === undefined ? field : not(field);
}

/** Operators that deny the whole match of another. */
const NEGATIONS: Readonly<Record<string, string>> = { $ne: '$eq', $nin: '$in', $nini: '$ini', $vne: '$veq' };

/** Parses an operator that asks something of each value; undefined after a refusal. */
function parseTest(
  name: string,
  operand: unknown,
  siblings: Readonly<Record<string, unknown>>,
  scope: Scope<unknown>,
  at: string,
): Test | undefined {
  switch (name) {
    case '$eq':
      return equalTest(operand, scope, at);
    case '$gt':
    case '$gte':
    case '$lt':
    case '$lte': {
      const value = readScalar(operand, scope.findings, at);
      return value === undefined ? undefined : { kind: 'compare', operator: COMPARISONS[name], value };
    }
    case '$in':
      return inTest(operand, scope, at);
    case '$ini':
      return inAnyCaseTest(operand, scope, at);
    case '$size':
      return sizeTest(operand, scope, at);
    case '$type':
      return typeTest(operand, scope, at);
    case '$mod':
      return modTest(operand, scope, at);
    case '$elemMatch':
      return elementsTest(operand, scope, at);
    case '$regex':
      return patternTest(operand, Object.hasOwn(siblings, '$options'), scope, at);
    case '$before':
    case '$after':
      return instantTest(name === '$before' ? 'before' : 'after', operand, scope, at);
    case '$veq':
    case '$vgt':
    case '$vgte':
    case '$vlt':
    case '$vlte':
      return versionTest(VERSION_COMPARISONS[name], operand, scope, at);
    default:
      return scope.findings.refuse(at, `unknown operator ${quote(name)}`);
  }
}

const COMPARISONS = { $gt: 'gt', $gte: 'gte', $lt: 'lt', $lte: 'lte' } as const;
const VERSION_COMPARISONS = { $veq: 'eq', $vgt: 'gt', $vgte: 'gte', $vlt: 'lt', $vlte: 'lte' } as const;

function equal<Ref>(operand: unknown, path: Path, scope: Scope<Ref>, at: string): Condition<Ref> {
  if (!countNode(scope, at)) return NOTHING;
  const test = equalTest(operand, scope, at);
  return test === undefined ? NOTHING : { kind: 'field', path, test };
}

function equalTest(operand: unknown, { findings }: Scope<unknown>, at: string): Test | undefined {
  const value = readValue(operand, findings, at);
  return value === undefined ? undefined : { kind: 'equal', value };
}

function inTest(operand: unknown, { findings }: Scope<unknown>, at: string): Test | undefined {
  const entries = readList(operand, findings, at);
  if (entries === undefined) return undefined;
  const values = readValues(entries, findings, at);
  return values && { kind: 'in', values };
}

function inAnyCaseTest(operand: unknown, { findings }: Scope<unknown>, at: string): Test | undefined {
  const entries = readList(operand, findings, at);
  const values = entries && readScalars(entries, findings, at);
  return values && { kind: 'inAnyCase', values: values.map(inAnyCase) };
}

function inAnyCase(value: Scalar): Scalar {
  return typeof value === 'string' ? foldCase(value) : value;
}

function sizeTest(operand: unknown, { findings }: Scope<unknown>, at: string): Test | undefined {
  if (typeof operand !== 'number' || !Number.isSafeInteger(operand) || operand < 0) {
    return findings.refuse(at, 'expected a whole number from 0');
  }
  return { kind: 'size', size: operand === 0 ? 0 : operand };
}

function typeTest(operand: unknown, { findings }: Scope<unknown>, at: string): Test | undefined {
  const names = isArray(operand) ? operand : [operand];
  const types = jsonTypes.filter((type) => names.includes(type));
  if (names.length === 0 || !names.every((name) => jsonTypes.some((type) => type === name))) {
    return findings.refuse(at, `expected a type, or a list of them: ${jsonTypes.join(', ')}`);
  }
  return { kind: 'type', types };
}

function modTest(operand: unknown, { findings }: Scope<unknown>, at: string): Test | undefined {
  const [divisor, remainder] = isArray(operand) && operand.length === 2 ? operand : [];
  if (!isSafeInteger(divisor) || !isSafeInteger(remainder)) {
    return findings.refuse(at, 'expected [divisor, remainder], two whole numbers');
  }
  if (divisor === 0) return findings.refuse(at, 'the divisor must not be 0');
  return { kind: 'mod', divisor, remainder: remainder === 0 ? 0 : remainder };
}

function isSafeInteger(value: unknown): value is number {
  return Number.isSafeInteger(value);
}

function patternTest(
  operand: unknown,
  ignoreCase: boolean,
  { findings }: Scope<unknown>,
  at: string,
): Test | undefined {
  if (typeof operand !== 'string') return findings.refuse(at, 'expected a pattern');
  if (!isStorableText(operand)) return findings.refuse(at, 'NUL and lone surrogates are not allowed');
  const pattern = findings.pattern(operand, ignoreCase, at);
  return pattern && { kind: 'pattern', pattern };
}

function instantTest(
  order: 'before' | 'after',
  operand: unknown,
  { findings }: Scope<unknown>,
  at: string,
): Test | undefined {
  const instant = typeof operand === 'string' ? parseInstantOperand(operand) : undefined;
  if (instant === undefined) {
    return findings.refuse(
      at,
      'expected a time with an offset ("2026-11-26T08:00:00Z"), a date ("2026-11-26"), or "now", "now-7d", "now+90m" with a unit of s, m, h, d or w',
    );
  }
  return { kind: 'instant', order, instant };
}

function versionTest(
  operator: 'eq' | 'gt' | 'gte' | 'lt' | 'lte',
  operand: unknown,
  { findings }: Scope<unknown>,
  at: string,
): Test | undefined {
  const key = typeof operand === 'string' && operand.length <= MAX_VERSION_LENGTH ? versionKey(operand) : undefined;
  if (key === undefined) return findings.refuse(at, 'expected a version, e.g. "1.2.3"');
  return { kind: 'version', operator, key };
}

/** `$all` is an `$and` of equalities, or of `$elemMatch`; an empty one matches nobody, as in MongoDB. */
function parseAll<Ref>(operand: unknown, path: Path, scope: Scope<Ref>, at: string): Condition<Ref> {
  const entries = readList(operand, scope.findings, at);
  if (entries === undefined || entries.length === 0) return NOTHING;
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

/** `$alli` is an `$and` of equalities without regard to case; an empty one matches nobody, as `$all`. */
function parseAllInAnyCase<Ref>(operand: unknown, path: Path, scope: Scope<Ref>, at: string): Condition<Ref> {
  const entries = readList(operand, scope.findings, at);
  const values = entries && readScalars(entries, scope.findings, at);
  if (values === undefined || values.length === 0) return NOTHING;
  const found = values.map((value, index): Condition<Ref> => {
    if (!countNode(scope, pointer(at, index))) return NOTHING;
    return { kind: 'field', path, test: { kind: 'inAnyCase', values: [inAnyCase(value)] } };
  });
  return { kind: 'and', of: found };
}

/** `$elemMatch` holds operators for each element itself, or else a query for each element that is a document. */
function elementsTest(operand: unknown, scope: Scope<unknown>, at: string): Test | undefined {
  const inner: Scope<never> = { findings: scope.findings, depth: scope.depth + 1, toRef: undefined };
  if (isOperators(operand) && Object.keys(operand).every((name) => FIELD_OPERATORS.has(name))) {
    if (inner.depth > MAX_DEPTH)
      return scope.findings.refuse(at, `operators stand at most ${MAX_DEPTH} deep in each other`);
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

/** An unknown name as it may be shown: short. */
function quote(name: string): string {
  return JSON.stringify(name.length > 40 ? `${name.slice(0, 40)}…` : name);
}
