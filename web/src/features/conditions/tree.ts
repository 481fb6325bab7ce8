/**
 * The condition as the editor shows it. Each node keeps the JSON that it was read from (`source`) and returns it unchanged until
 * it is edited: an edit creates new nodes without a source, from the edited one up to the root.
 */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json };
export type JsonObject = { readonly [name: string]: Json };

export type Join = 'all' | 'any' | 'none';

interface Shared {
  /** For React, and to find the node again; not part of the condition. */
  readonly key: string;
  readonly source?: JsonObject;
}

export type Node =
  | (Shared & { readonly kind: 'group'; readonly join: Join; readonly of: readonly Node[] })
  | (Shared & {
      readonly kind: 'test';
      readonly path: string;
      readonly operator: string;
      readonly value: Json;
      readonly anyCase: boolean;
    })
  | (Shared & { readonly kind: 'segment'; readonly isIn: boolean; readonly slug: string })
  /** One element of the array at `path` matches all of `of`; `asValues`: the elements are tested as values, not as documents. */
  | (Shared & {
      readonly kind: 'elements';
      readonly path: string;
      readonly asValues: boolean;
      readonly of: readonly Node[];
    })
  /** A part that the editor cannot show. */
  | (Shared & { readonly kind: 'raw'; readonly source: JsonObject });

export type Group = Extract<Node, { kind: 'group' }>;
export type TestNode = Extract<Node, { kind: 'test' }>;

let last = 0;
export function newKey(): string {
  last += 1;
  return `n${last}`;
}

export const newTest = (path = ''): TestNode => ({
  kind: 'test',
  key: newKey(),
  path,
  operator: '$eq',
  value: '',
  anyCase: false,
});
export const newSegment = (): Node => ({ kind: 'segment', key: newKey(), isIn: true, slug: '' });
export const newGroup = (): Node => ({ kind: 'group', key: newKey(), join: 'any', of: [newTest()] });
export const newElements = (): Node => ({
  kind: 'elements',
  key: newKey(),
  path: '',
  asValues: false,
  of: [newTest()],
});

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isOperators(value: unknown): value is JsonObject {
  return isObject(value) && Object.keys(value).some((name) => name.startsWith('$'));
}

const joins = { $and: 'all', $or: 'any', $nor: 'none' } as const;
const joinOperators = { all: '$and', any: '$or', none: '$nor' } as const;

/** Operators that a row can show, whose operand is a value or a list of values. */
const scalarOperators = new Set(
  '$eq $ne $gt $gte $lt $lte $vgt $vgte $vlt $vlte $veq $vne $before $after $size $exists $regex'.split(' '),
);
const listOperators = new Set('$in $nin $all $ini $nini $alli $mod'.split(' '));

const isScalar = (value: Json): boolean => typeof value !== 'object' || value === null;

function isDrawable(operator: string, operand: Json): boolean {
  if (operator === '$exists') return typeof operand === 'boolean';
  if (operator === '$size') return typeof operand === 'number';
  if (operator === '$regex') return typeof operand === 'string';
  if (operator === '$type') return typeof operand === 'string' || (Array.isArray(operand) && operand.every(isScalar));
  if (listOperators.has(operator)) return Array.isArray(operand) && operand.every(isScalar);
  return scalarOperators.has(operator) && isScalar(operand);
}

/** Parses a condition. The root is always a group, even around a single test. */
export function readTree(condition: JsonObject | null | undefined): Group {
  if (!condition) return { kind: 'group', key: newKey(), join: 'all', of: [] };
  const nodes = readQuery(condition);
  const [only] = nodes;
  if (nodes.length === 1 && only?.kind === 'group') return only;
  return { kind: 'group', key: newKey(), join: 'all', of: nodes, source: condition };
}

function readQuery(query: JsonObject): readonly Node[] {
  return Object.entries(query).flatMap(([name, operand]) => readEntry(name, operand));
}

/** Parses one query as one node. */
function readOne(query: Json): Node {
  if (!isObject(query)) return { kind: 'raw', key: newKey(), source: { $and: [query] } };
  const nodes = readQuery(query);
  const [only] = nodes;
  if (nodes.length === 1 && only) return only;
  return { kind: 'group', key: newKey(), join: 'all', of: nodes, source: query };
}

function readEntry(name: string, operand: Json): readonly Node[] {
  const source = { [name]: operand };
  const raw = (): readonly Node[] => [{ kind: 'raw', key: newKey(), source }];
  if (name === '$and' || name === '$or' || name === '$nor') {
    if (!Array.isArray(operand) || !operand.every(isObject)) return raw();
    return [{ kind: 'group', key: newKey(), join: joins[name], of: operand.map(readOne), source }];
  }
  if (name === '$inSegment' || name === '$notInSegment') {
    if (typeof operand !== 'string') return raw();
    return [{ kind: 'segment', key: newKey(), isIn: name === '$inSegment', slug: operand, source }];
  }
  if (name.startsWith('$')) return raw();
  if (!isOperators(operand)) {
    return isScalar(operand) ? [{ ...newTest(name), value: operand, source }] : raw();
  }
  return readOperators(name, operand);
}

/** `{"$gte": 1, "$lt": 5}` on a path: a node for each operator. */
function readOperators(path: string, operators: JsonObject): readonly Node[] {
  const { $options: options, ...tests } = operators;
  return Object.entries(tests).map(([operator, operand]): Node => {
    const anyCase = operator === '$regex' && options !== undefined;
    const source = { [path]: { [operator]: operand, ...(anyCase && { $options: options }) } };
    const key = newKey();
    if (operator === '$not' && isOperators(operand)) {
      const inner = readOperators(path, operand);
      const of: readonly Node[] =
        inner.length === 1 ? inner : [{ kind: 'group', key: newKey(), join: 'all', of: inner }];
      return { kind: 'group', key, join: 'none', of, source };
    }
    if (operator === '$elemMatch' && isObject(operand)) {
      const asValues = isOperators(operand) && Object.keys(operand).every((name) => !(name in joins));
      const of = asValues ? readOperators('', operand) : readQuery(operand);
      // Tests of values inside `$elemMatch` cannot be written elsewhere.
      if (!asValues || of.every(({ kind }) => kind === 'test'))
        return { kind: 'elements', key, path, asValues, of, source };
    }
    if (!isDrawable(operator, operand)) return { kind: 'raw', key, source };
    return { kind: 'test', key, path, operator, value: operand, anyCase, source };
  });
}

/** The condition of a tree; null if the tree is empty. */
export function writeTree(root: Group): JsonObject | null {
  if (root.source) return root.source;
  if (root.of.length === 0) return null;
  return root.join === 'all' ? writeQuery(root.of) : writeNode(root);
}

function writeNode(node: Node): JsonObject {
  if (node.source) return node.source;
  switch (node.kind) {
    case 'raw':
      return node.source;
    case 'segment':
      return { [node.isIn ? '$inSegment' : '$notInSegment']: node.slug };
    case 'test':
      return { [node.path]: writeTest(node) };
    case 'elements': {
      const inner = node.asValues ? mergeOperators(node.of) : writeQuery(node.of);
      return { [node.path]: { $elemMatch: inner } };
    }
    case 'group':
      return { [joinOperators[node.join]]: node.of.map(writeNode) };
  }
}

function writeTest({ operator, value, anyCase }: TestNode): Json {
  if (operator === '$eq') return value;
  return { [operator]: value, ...(operator === '$regex' && anyCase && { $options: 'i' }) };
}

function mergeOperators(tests: readonly Node[]): JsonObject {
  return Object.assign(
    {},
    ...tests.map((test) => {
      const written = Object.values(writeNode(test))[0] ?? null;
      return isOperators(written) ? written : { $eq: written };
    }),
  );
}

/** All nodes as one query: merged unless a name or operator occurs twice, otherwise in an `$and`. */
function writeQuery(nodes: readonly Node[]): JsonObject {
  const parts = nodes.map(writeNode);
  const merged: Record<string, Json> = {};
  for (const part of parts) {
    for (const [name, operand] of Object.entries(part)) {
      const there = merged[name];
      if (there === undefined) merged[name] = operand;
      else if (isOperators(there) && isOperators(operand) && areApart(there, operand))
        merged[name] = { ...there, ...operand };
      else return { $and: parts };
    }
  }
  return merged;
}

function areApart(one: JsonObject, other: JsonObject): boolean {
  return Object.keys(other).every((name) => !Object.hasOwn(one, name));
}

type Drawn = Exclude<Node, { kind: 'raw' }>;

/** A changed copy without its source, so that it is serialized again. */
export function touched<N extends Drawn>(node: N, changes: Partial<Omit<N, 'key' | 'kind' | 'source'>>): N {
  const { source: _, ...copy } = { ...node, ...changes };
  // TypeScript cannot infer that a copy without its optional source is still an N.
  return copy as unknown as N;
}

/** Whether every row has its input. An incomplete condition would be refused, so it is not sent. */
export function isComplete(node: Node): boolean {
  if (node.source) return true;
  switch (node.kind) {
    case 'raw':
      return true;
    case 'segment':
      return node.slug !== '';
    case 'test':
      return node.path !== '' && isValueComplete(node);
    case 'elements':
      return (
        node.path !== '' && node.of.length > 0 && node.of.every((child) => (node.asValues ? true : isComplete(child)))
      );
    case 'group':
      return node.of.length > 0 && node.of.every(isComplete);
  }
}

function isValueComplete({ operator, value }: TestNode): boolean {
  if (operator === '$mod') return Array.isArray(value) && value.length === 2;
  if (listOperators.has(operator)) return Array.isArray(value) && value.length > 0;
  if (operator === '$regex' || operator.startsWith('$v') || operator === '$before' || operator === '$after')
    return value !== '';
  return true;
}

export function isTreeComplete(root: Group): boolean {
  return root.of.every(isComplete);
}
