import { isObject } from '@kohort/contract';
import fc from 'fast-check';
import { jsonTypes, type Scalar } from '../../src/segmentation/conditions/condition.ts';
import { isArray, type Json, type JsonObject } from '../../src/segmentation/conditions/json.ts';
import { NOW } from './tables.ts';

/**
 * Random attributes and conditions for the property tests. Names and values come from small pools full of edges: numbers
 * as strings, names that are indexes or stand on every object, code points that UTF-16 orders otherwise than UTF-8,
 * doubles at their limits, versions, characters special to SQL. Conditions mostly speak of paths and values that the
 * users they are put to really have, or else nearly every answer would be the same no.
 */
export interface Choice {
  /**
   * Also what mingo does not know or get right: segments, versions, `$all`, arrays in arrays, `$elemMatch` with a query,
   * names that are numbers or that every object answers to, operands that are no scalars.
   */
  readonly everything: boolean;
  /** Names of fields. */
  readonly names: readonly string[];
  /** Values that are no arrays and no documents. */
  readonly scalar: fc.Arbitrary<Scalar>;
}

/** What a condition is drawn from: paths and operands. */
interface Source extends Choice {
  readonly paths: fc.Arbitrary<string>;
  /** Paths to what may be an array, for the operators that are about arrays. */
  readonly arrayPaths: fc.Arbitrary<string>;
  readonly scalars: fc.Arbitrary<Scalar>;
  readonly operands: fc.Arbitrary<Json>;
}

const NUMBERS = [0, 1, 2, -1, 1.5, 0.1 + 0.2, 0.3, 1e21, 5e-324, 1.7976931348623157e308, 9007199254740991, -2147483649];
const TEXTS = [
  '',
  'a',
  'b',
  'ab',
  'B',
  '0',
  '1',
  '1.5',
  'ü',
  'u\u0308',
  '😀',
  '\uff5e',
  '\ue000',
  "'",
  '"',
  '\\',
  '%',
  '$1',
  '\n',
  'null',
];
const INSTANTS = [
  '2026-11-26',
  '2026-11-26T12:00:00Z',
  '2026-11-26T13:00:00.000+01:00',
  '2026-11-26T11:59:59.9999Z',
  '2026-11-19T12:00:00.001Z',
  '1969-12-31T23:59:59Z',
  '0000-02-29',
  '2026-02-29',
  '2026-11-26T12:00:00',
];
const MOMENTS = ['now', 'now-7d', 'now+1s', 'now-2w', 'now+90m', 'now-1h'];
const VERSIONS = ['1.2.3', 'v1.2', '1.2.3-beta.2', '1.2.3-beta.11', '1.10.0', '2', '1.2.3+build', '1.2.x'];
const PATTERNS = ['a', '^a', 'b$', '^ab$', '', '[ab]', '^.$', '\\d', '^(a|ü)+$', '%', "'"];

/** No integer that a double cannot hold exactly: attributes and operands may not have one. */
const doubles = fc
  .double({ noNaN: true, noDefaultInfinity: true })
  .filter((value) => !Number.isInteger(value) || Number.isSafeInteger(value))
  .map((value) => value + 0);
const scalar: fc.Arbitrary<Scalar> = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(...NUMBERS) },
  { weight: 4, arbitrary: fc.constantFrom(...TEXTS) },
  { weight: 1, arbitrary: fc.constantFrom(...VERSIONS) },
  { weight: 1, arbitrary: fc.constantFrom(...INSTANTS, ...[0, -1, 1].map((ms) => NOW + ms)) },
  {
    weight: 1,
    arbitrary: fc.constantFrom('A', 'Ab', 'Ü', 'K', '\u212a', 'ſ', 's', 'ς', 'Σ', 'İ', 'ı', 'I', 'ǅ', 'ß', 'ẞ'),
  },
  { weight: 2, arbitrary: fc.constantFrom(null, true, false) },
  { weight: 1, arbitrary: doubles },
  { weight: 1, arbitrary: fc.string({ unit: 'grapheme', maxLength: 3 }).filter((text) => !text.includes('\0')) },
);

const NAMES = ['a', 'b', 'c', 'größe', "it's"];

/** A wide world: every kind of name and value. */
export const EVERYTHING: Choice = {
  everything: true,
  names: [...NAMES, '0', '1', '01', 'constructor', 'length'],
  scalar,
};

/** A small world, where the same few names and values meet again and again, also deep inside arrays. */
export const SMALL: Choice = {
  everything: true,
  names: ['a', 'b', '0', '01'],
  scalar: fc.constantFrom(0, 1, 'a', 'b', null, true),
};

export const KNOWN_TO_MINGO: Choice = { everything: false, names: NAMES, scalar };

/** Any JSON value of a few levels. */
function value(choice: Choice, levels: number): fc.Arbitrary<Json> {
  if (levels === 0) return choice.scalar;
  const element = choice.everything ? value(choice, levels - 1) : fc.oneof(choice.scalar, document(choice, levels - 1));
  return fc.oneof(
    { weight: 2, arbitrary: choice.scalar },
    { weight: 3, arbitrary: fc.array(element, { maxLength: 3 }) },
    { weight: 2, arbitrary: document(choice, levels - 1) },
  );
}

function name(choice: Choice): fc.Arbitrary<string> {
  return fc.constantFrom(...choice.names);
}

function document(choice: Choice, levels: number): fc.Arbitrary<JsonObject> {
  return fc.dictionary(name(choice), value(choice, levels), { maxKeys: 4 });
}

/** A user's attributes. */
export function attributes(choice: Choice): fc.Arbitrary<JsonObject> {
  return document(choice, 3).map((found) => JSON.parse(JSON.stringify(found)));
}

/** A condition in its stored form, with segments 1 to 8, drawn to be put to these users. */
export function condition(choice: Choice, users: readonly JsonObject[]): fc.Arbitrary<JsonObject> {
  const found: [path: string, value: Json][] = [];
  for (const user of users) collect(user, [], found);
  const isKnown = ([path]: [string, Json]) => choice.everything || !/\d/.test(path);
  const values = found.map(([, value]) => value);
  const scalars = values.filter((value) => typeof value !== 'object' || value === null);
  const randomPath = fc.array(name(choice), { minLength: 1, maxLength: 3 }).map((names) => names.join('.'));
  const scalarOperand = mostly(scalars, choice.scalar);
  return query(
    {
      ...choice,
      paths: mostly(pathsOf(found.filter(isKnown)), randomPath),
      arrayPaths: mostly(pathsOf(found.filter(([, value]) => isArray(value))), randomPath),
      scalars: scalarOperand,
      operands: choice.everything ? fc.oneof(scalarOperand, mostly(values, value(choice, 2))) : scalarOperand,
    },
    3,
  );
}

function mostly<T>(known: readonly T[], random: fc.Arbitrary<T>): fc.Arbitrary<T> {
  if (known.length === 0) return random;
  return fc.oneof({ weight: 4, arbitrary: fc.constantFrom(...known) }, { weight: 1, arbitrary: random });
}

function pathsOf(found: readonly [string, Json][]): readonly string[] {
  return [...new Set(found.map(([path]) => path))];
}

/** Gathers the paths that lead somewhere in a value, by name and by index, with what they lead to. */
function collect(value: Json, path: readonly string[], found: [path: string, value: Json][]): void {
  if (path.length > 0) found.push([path.join('.'), value]);
  if (path.length === 5) return;
  if (isObject(value)) for (const [name, inner] of Object.entries(value)) collect(inner, [...path, name], found);
  if (!isArray(value)) return;
  for (const [index, inner] of value.entries()) {
    collect(inner, [...path, String(index)], found);
    if (isObject(inner)) collect(inner, path, found);
  }
}

function query(source: Source, levels: number): fc.Arbitrary<JsonObject> {
  const fields = fieldsOf(source, levels, 1);
  if (levels === 0) return fields;
  const queries = fc.array(query(source, levels - 1), { minLength: 1, maxLength: 3 });
  const logic: fc.Arbitrary<JsonObject>[] = [
    queries.map(($and) => ({ $and })),
    queries.map(($or) => ({ $or })),
    queries.map(($nor) => ({ $nor })),
  ];
  if (source.everything) {
    const segment = fc.integer({ min: 1, max: 8 });
    const elements = fc.oneof(operators(source, levels - 1), elementQuery(source, levels - 1));
    const ofArray = fc.tuple(source.arrayPaths, elements).map(([path, $elemMatch]) => ({ [path]: { $elemMatch } }));
    logic.push(
      ofArray,
      ofArray,
      ofArray,
      segment.map(($inSegment) => ({ $inSegment })),
      fc.tuple(segment, fields).map(([$notInSegment, rest]) => ({ $notInSegment, ...rest })),
      fc.constant({}),
    );
  }
  return fc.oneof({ weight: 6, arbitrary: fields }, ...logic.map((arbitrary) => ({ weight: 1, arbitrary })));
}

function fieldsOf(source: Source, levels: number, minKeys: number): fc.Arbitrary<JsonObject> {
  const field = fc.oneof(
    { weight: 1, arbitrary: source.operands },
    { weight: 3, arbitrary: operators(source, levels) },
  );
  return fc.dictionary(source.paths, field, { minKeys, maxKeys: 2 });
}

function operators(source: Source, levels: number): fc.Arbitrary<JsonObject> {
  return fc
    .array(fc.oneof(...operator(source, levels)), { minLength: 1, maxLength: 2 })
    .map((found): JsonObject => Object.assign({}, ...found));
}

function operator(source: Source, levels: number): fc.Arbitrary<JsonObject>[] {
  const { everything, operands, scalars } = source;
  const list = fc.array(operands, { maxLength: 4 });
  const found: fc.Arbitrary<JsonObject>[] = [
    ...['$eq', '$ne'].map((op) => operands.map((value) => ({ [op]: value }))),
    ...['$gt', '$gte', '$lt', '$lte'].map((op) => scalars.map((value) => ({ [op]: value }))),
    ...['$in', '$nin', ...(everything ? ['$all'] : [])].map((op) => list.map((values) => ({ [op]: values }))),
    fc.boolean().map(($exists) => ({ $exists })),
    fc.integer({ min: 0, max: 3 }).map(($size) => ({ $size })),
    fc.constantFrom(...PATTERNS).map(($regex) => ({ $regex })),
  ];
  if (everything) found.push(...ofOurOwn(source), ...versionsAndPatterns());
  if (levels > 0) {
    found.push(operators(source, levels - 1).map(($not) => ({ $not })));
    const elements = [operators(source, levels - 1).map(($elemMatch) => ({ $elemMatch }))];
    if (everything) elements.push(elementQuery(source, levels - 1).map(($elemMatch) => ({ $elemMatch })));
    found.push(...elements);
    if (everything) found.push(fc.array(fc.oneof(...elements), { maxLength: 2 }).map(($all) => ({ $all })));
  }
  return found;
}

/** Operators that mingo does not know, or knows otherwise. */
function ofOurOwn({ scalars }: Source): fc.Arbitrary<JsonObject>[] {
  const lists = fc.array(scalars, { maxLength: 4 });
  const whole = fc.constantFrom(1, 2, 3, -2, 7, 1_000_003);
  const instant = fc.constantFrom(...INSTANTS.slice(0, 7), ...MOMENTS, ...MOMENTS);
  return [
    ...['$ini', '$nini', '$alli'].map((op) => lists.map((values) => ({ [op]: values }))),
    fc.subarray([...jsonTypes], { minLength: 1, maxLength: 3 }).map(($type) => ({ $type })),
    fc.constantFrom(...jsonTypes).map(($type) => ({ $type })),
    fc.tuple(whole, fc.integer({ min: -2, max: 2 })).map(([divisor, remainder]) => ({ $mod: [divisor, remainder] })),
    fc.tuple(fc.constantFrom('$before', '$after'), instant).map(([op, text]) => ({ [op]: text })),
  ];
}

/** Versions, and patterns of which some are left to the stream: rare, or most conditions would be. */
function versionsAndPatterns(): fc.Arbitrary<JsonObject>[] {
  const comparison = fc.constantFrom('$vgt', '$vgte', '$vlt', '$vlte', '$veq', '$vne');
  const version = fc.constantFrom(...VERSIONS.filter((text) => text !== '1.2.x'));
  return [
    fc.tuple(comparison, version).map(([op, text]) => ({ [op]: text })),
    fc.constantFrom(...PATTERNS).map(($regex) => ({ $regex, $options: 'i' })),
  ];
}

/** The query form of `$elemMatch`: names of elements, no segments. */
function elementQuery(source: Source, levels: number): fc.Arbitrary<JsonObject> {
  const names = fc.array(name(source), { minLength: 1, maxLength: 2 }).map((found) => found.join('.'));
  const fields = fieldsOf({ ...source, paths: names }, levels, 0);
  const some = fc.array(fields, { minLength: 1, maxLength: 2 });
  return fc.oneof(
    { weight: 3, arbitrary: fields },
    { weight: 1, arbitrary: some.map(($or) => ({ $or })) },
    { weight: 1, arbitrary: some.map(($nor) => ({ $nor })) },
  );
}
