import { isObject } from '@kohort/contract';
import { describe, expect, test } from 'vitest';
import { compileCondition } from './evaluate.ts';
import { Evaluation } from './evaluation.ts';
import { isArray, type Json, type JsonObject } from './json.ts';
import { parseStoredCondition } from './parse.ts';

const many = <T>(count: number, make: (index: number) => T): T[] =>
  Array.from({ length: count }, (_, index) => make(index));

/** The same value, which counts how often an entry of it is read. */
function counted(value: Json, onRead: () => void): Json {
  if (typeof value !== 'object' || value === null) return value;
  const inner = isArray(value)
    ? value.map((entry) => counted(entry, onRead))
    : Object.fromEntries(Object.entries(value).map(([name, entry]) => [name, counted(entry, onRead)]));
  return new Proxy(inner, {
    get(target, name, receiver) {
      if (Object.hasOwn(target, name) && name !== 'length') onRead();
      return Reflect.get(target, name, receiver);
    },
  });
}

/** How many entries of the attributes are read to say no. */
function readsOf(condition: JsonObject, attributes: JsonObject): number {
  const parsed = parseStoredCondition(condition);
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.errors[0]));
  let reads = 0;
  const subject = counted(attributes, () => {
    reads += 1;
  });
  if (!isObject(subject)) throw new Error('attributes are an object');
  expect(compileCondition(parsed.condition)(subject, new Evaluation(0, () => false))).toBe(false);
  return reads;
}

const NODES = 998;
const ELEMENTS = 1_000;
const numbers = { k: many(ELEMENTS, (i) => i) };
const texts = { k: many(ELEMENTS, (i) => `1.${i}`) };
const lists = { k: many(ELEMENTS, (i) => [i]) };
const documents = { k: many(ELEMENTS, (i) => ({ b: i })) };
const empty = { k: many(ELEMENTS, () => ({})) };
const ofEach = (test: (index: number) => Json): JsonObject => ({ $or: many(NODES, (i) => ({ k: test(i) })) });

describe('work grows with nodes plus elements', () => {
  test.each<[string, JsonObject, JsonObject]>([
    ['equality', ofEach((i) => -1 - i), numbers],
    ['equality with lists', ofEach((i) => [[-1 - i]]), lists],
    ['$gt', ofEach((i) => ({ $gt: ELEMENTS + i })), numbers],
    ['$lt of texts', ofEach((i) => ({ $lt: `0${i}` })), texts],
    ['$in', ofEach((i) => ({ $in: [-1 - i, 'x'] })), numbers],
    ['$vgt', ofEach((i) => ({ $vgt: `2.${i}` })), texts],
    ['$veq', ofEach((i) => ({ $veq: `2.${i}` })), texts],
    ['names that no document has', { $or: many(NODES, (i) => ({ [`k.x${i}`]: 1 })) }, empty],
  ])('%s', (_, condition, attributes) => {
    // Each node looks at the array a few times, each element is read a few times, whatever their product.
    expect(readsOf(condition, attributes)).toBeLessThan(10 * (NODES + ELEMENTS));
  });

  test('lists of lists are compared by hash', () => {
    const inLists = { $or: many(20, (j) => ({ k: { $in: many(1_000, (i) => [-1 - i - j]) } })) };
    expect(readsOf(inLists, lists)).toBeLessThan(20 * ELEMENTS);
  });

  test('a path through documents reads what it leads to', () => {
    const samePath = { $or: many(20, (i) => ({ 'k.b': -1 - i })) };
    expect(readsOf(samePath, documents)).toBeLessThan(10 * ELEMENTS);
  });
});

test('a pattern does not look at texts that are too long for its size', () => {
  const matches = (length: number) => {
    const parsed = parseStoredCondition({ k: { $regex: '^a(b|c){100}.*$' } });
    if (!parsed.ok) throw new Error(JSON.stringify(parsed.errors));
    const k = `a${'b'.repeat(length - 1)}`;
    return compileCondition(parsed.condition)({ k }, new Evaluation(0, () => false));
  };
  expect(matches(1_000)).toBe(true);
  expect(matches(16_000)).toBe(false);
});
