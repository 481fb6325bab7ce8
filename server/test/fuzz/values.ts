import fc from 'fast-check';
import type { Schema } from './document.ts';
import { anyCondition } from './rules.ts';

/** Things that are there, by the name of the field or parameter that names them. */
export type Known = Readonly<Record<string, readonly string[]>>;

const CONDITIONS: readonly unknown[] = [
  {},
  { plan: 'pro' },
  { age: { $gte: 18, $lt: 65 } },
  { $or: [{ city: { $in: ['Oslo', null] } }, { tags: { $size: 2 } }, { $nor: [{ a: 1 }] }] },
  { name: { $regex: '^a.*b$', $options: 'i' } },
  { version: { $vgte: '1.2.3' } },
  { list: { $elemMatch: { a: { $exists: true } } } },
  { $inSegment: 'Known1' },
  { $and: [{ $notInSegment: 'Known2' }, { 'a.b.c': { $not: { $eq: [1, 2] } } }] },
  { $where: '1' },
  { a: { $regex: '(a+)+$' } },
  { a: { $gt: 1e308, $nope: 1 } },
];

const TIMES = ['2026-11-23T08:00:00.000Z', '2099-01-01T00:00:00+05:30', '1970-01-01T00:00:00Z', '9999-12-31T23:59:59Z'];

function stringOf(schema: Schema, name: string, known: Known): fc.Arbitrary<string> {
  const there = known[name] ?? [];
  const { minLength = 0, maxLength = 300, pattern, format } = schema;
  const drawn =
    format === 'date-time'
      ? fc.constantFrom(...TIMES)
      : pattern !== undefined
        ? fc.stringMatching(new RegExp(pattern)).filter((text) => text.isWellFormed())
        : fc.string({ minLength, maxLength: Math.min(maxLength, 300), unit: 'grapheme' });
  return there.length === 0 ? drawn : fc.oneof({ weight: 3, arbitrary: fc.constantFrom(...there) }, drawn);
}

/** A number as a boundary test would choose it. */
function numberOf({ minimum = -1e6, maximum = 1e6 }: Schema, isWhole: boolean): fc.Arbitrary<number> {
  const inside = isWhole
    ? fc.integer({ min: Math.max(minimum, -(2 ** 31)), max: Math.min(maximum, 2 ** 31 - 1) })
    : fc.integer({ min: Math.ceil(minimum * 1000), max: Math.floor(maximum * 1000) }).map((n) => n / 1000);
  return fc.oneof(inside, fc.constantFrom(minimum, maximum, isWhole ? minimum + 1 : (minimum + maximum) / 2));
}

/** Values that the schema accepts. `name` is that of the field, for what must be there to be of use. */
export function arbitraryOf(schema: Schema, known: Known, name = ''): fc.Arbitrary<unknown> {
  if (schema.const !== undefined) return fc.constant(schema.const);
  if (schema.enum) return fc.constantFrom(...schema.enum);
  if (schema.anyOf) return fc.oneof(...schema.anyOf.map((one) => arbitraryOf(one, known, name)));
  switch (schema.type) {
    case 'null':
      return fc.constant(null);
    case 'boolean':
      return fc.boolean();
    case 'integer':
    case 'number': {
      const there = (known[name] ?? []).map(Number);
      const drawn = numberOf(schema, schema.type === 'integer');
      return there.length === 0 ? drawn : fc.oneof({ weight: 3, arbitrary: fc.constantFrom(...there) }, drawn);
    }
    case 'string':
      return stringOf(schema, name, known);
    case 'array': {
      const { items = {}, minItems: minLength = 0, maxItems = 5, uniqueItems } = schema;
      const range = { minLength, maxLength: Math.min(maxItems, 5) };
      const item = arbitraryOf(items, known, name);
      return uniqueItems ? fc.uniqueArray(item, range) : fc.array(item, range);
    }
    case 'object':
      return objectOf(schema, known, name);
    default:
      return fc.jsonValue({ maxDepth: 3 }).map(storable);
  }
}

function objectOf({ properties, required = [] }: Schema, known: Known, name: string): fc.Arbitrary<unknown> {
  if (!properties) {
    const free = fc.dictionary(fc.string({ maxLength: 20 }), fc.jsonValue({ maxDepth: 3 })).map(storable);
    return name === 'condition' ? fc.oneof(fc.constantFrom(...CONDITIONS), anyCondition, free) : free;
  }
  // The slug in here is that of a layer.
  const knownHere = name === 'layer' ? { ...known, slug: known.layer ?? [] } : known;
  const record = (keys: readonly string[], always: readonly string[]) =>
    fc.record(
      Object.fromEntries(keys.map((key) => [key, arbitraryOf(properties[key] ?? {}, knownHere, key)] as const)),
      {
        requiredKeys: [...always] as never[],
      },
    );
  const keys = Object.keys(properties);
  // With one field besides the required ones, too: not all that may stand there may stand together.
  const sparse = fc.constantFrom(...keys).chain((one) => {
    const few = [...new Set([...required, one])];
    return record(few, few);
  });
  return fc.oneof(record(keys, required), sparse);
}

/** The same without what is refused wherever it stands. */
function storable(value: unknown): unknown {
  const text = JSON.stringify(value)
    .replaceAll(/\\u0000|\\ud[89a-f][0-9a-f]{2}/gi, '_')
    .replaceAll('"__proto__"', '"proto"')
    .replaceAll('"constructor"', '"made_by"');
  return JSON.parse(text);
}
