import { describe, expect, test } from 'vitest';
import { parseCondition, parseStoredCondition } from './parse.ts';
import { references, toStored, toWire } from './references.ts';

function errors(input: unknown): readonly [string, string][] {
  const parsed = parseCondition(input, '/condition');
  return parsed.ok ? [] : parsed.errors.map(({ path, message }) => [path, message]);
}

/** A condition with so many operators in each other. */
function nested(levels: number, wrap: (inner: object) => object, innermost: object): object {
  let found = innermost;
  for (let level = 0; level < levels; level++) found = wrap(found);
  return found;
}

describe('refuses, with the path of the offending node', () => {
  test.each<[unknown, string]>([
    [null, ''],
    [[], ''],
    ['age > 1', ''],
    [{ $gt: 1 }, '/$gt'],
    [{ $not: { a: 1 } }, '/$not'],
    [{ $where: '1' }, '/$where'],
    [{ $expr: {} }, '/$expr'],
    [{ age: { $foo: 1 } }, '/age/$foo'],
    [{ age: { $gt: 1, b: 2 } }, '/age/b'],
    [{ age: { b: { $gt: 1 } } }, '/age/b/$gt'],
    [{ age: { $eq: { $gt: 1 } } }, '/age/$eq/$gt'],
    [{ $and: [{ age: { $gt: [] } }] }, '/$and/0/age/$gt'],
    [{ $and: [{ age: { $gt: {} } }] }, '/$and/0/age/$gt'],
    [{ $and: [] }, '/$and'],
    [{ $or: {} }, '/$or'],
    [{ $nor: [1] }, '/$nor/0'],
    [{ a: { $in: 1 } }, '/a/$in'],
    [{ a: { $in: [{ $regex: 'a' }] } }, '/a/$in/0/$regex'],
    [{ a: { $nin: 'a' } }, '/a/$nin'],
    [{ a: { $in: Array(1001).fill(0) } }, '/a/$in'],
    [{ a: { $exists: 1 } }, '/a/$exists'],
    [{ a: { $size: -1 } }, '/a/$size'],
    [{ a: { $size: 1.5 } }, '/a/$size'],
    [{ a: { $size: '1' } }, '/a/$size'],
    [{ a: { $all: 1 } }, '/a/$all'],
    [{ a: { $all: [1, { $elemMatch: {} }] } }, '/a/$all/0'],
    [{ a: { $all: [{ $gt: 1 }] } }, '/a/$all/0'],
    [{ a: { $elemMatch: 1 } }, '/a/$elemMatch'],
    [{ a: { $elemMatch: { $gt: 1, b: 1 } } }, '/a/$elemMatch/$gt'],
    [{ a: { $elemMatch: { $inSegment: 'S' } } }, '/a/$elemMatch/$inSegment'],
    [{ a: { $not: {} } }, '/a/$not'],
    [{ a: { $not: 'x' } }, '/a/$not'],
    [{ a: { $regex: 1 } }, '/a/$regex'],
    [{ a: { $regex: '(' } }, '/a/$regex'],
    [{ a: { $regex: '(a)\\1' } }, '/a/$regex'],
    [{ a: { $regex: '(?=a)' } }, '/a/$regex'],
    [{ a: { $regex: '(?<=a)b' } }, '/a/$regex'],
    [{ a: { $regex: 'a{1000}{1000}' } }, '/a/$regex'],
    [{ a: { $regex: '(a{100}){100}' } }, '/a/$regex'],
    [{ a: { $regex: 'a'.repeat(1001) } }, '/a/$regex'],
    [{ a: { $regex: 'a', $options: 'x' } }, '/a/$options'],
    [{ a: { $options: 'i' } }, '/a/$options'],
    [{ a: { $vgt: 1 } }, '/a/$vgt'],
    [{ a: { $veq: 'latest' } }, '/a/$veq'],
    [{ a: { $vne: '1.2.3.4' } }, '/a/$vne'],
    [{ a: Number.POSITIVE_INFINITY }, '/a'],
    [{ a: undefined }, '/a'],
    [{ '': 1 }, '/'],
    [{ 'a..b': 1 }, '/a..b'],
    [{ '.a': 1 }, '/.a'],
    [{ 'a.$b': 1 }, '/a.$b'],
    [{ 'a/b~': { $foo: 1 } }, '/a~1b~0/$foo'],
    [JSON.parse('{"__proto__": 1}'), '/__proto__'],
    [{ 'a.__proto__': 1 }, '/a.__proto__'],
    [{ a: JSON.parse('{"__proto__": 1}') }, '/a/__proto__'],
    [{ 'a\0': 1 }, '/a\0'],
    [{ a: ['\0'] }, '/a/0'],
    [{ a: '\ud800' }, '/a'],
    [{ a: { $gt: '\udc00' } }, '/a/$gt'],
    [{ $inSegment: 1 }, '/$inSegment'],
    [{ $inSegment: 'no spaces' }, '/$inSegment'],
    [{ $notInSegment: ['S'] }, '/$notInSegment'],
    [{ a: { $inSegment: 'S' } }, '/a/$inSegment'],
  ])('%j', (input, path) => {
    expect(errors(input).map(([at]) => at)).toContain(`/condition${path}`);
  });
});

test('names every error', () => {
  const found = errors({ a: { $gt: [] }, $or: [{ b: { $size: -1 } }, { $bad: 1 }] });
  expect(found.map(([at]) => at)).toEqual(['/condition/a/$gt', '/condition/$or/0/b/$size', '/condition/$or/1/$bad']);
});

test('says why', () => {
  expect(errors({ a: { $regex: '(a)\\1' } })).toEqual([
    ['/condition/a/$regex', 'not a pattern of RE2: invalid escape sequence: `\\1`'],
  ]);
});

describe('limits', () => {
  const and = (inner: object) => ({ $and: [inner] });
  const elements = (inner: object) => ({ a: { $elemMatch: inner } });

  test('16 operators deep, not 17', () => {
    for (const wrap of [and, elements]) {
      expect(errors(nested(16, wrap, { a: 1 }))).toEqual([]);
      expect(errors(nested(17, wrap, { a: 1 }))).toHaveLength(1);
    }
    const not = (inner: object) => ({ $not: inner });
    expect(errors({ a: nested(16, not, { $gt: 1 }) })).toEqual([]);
    expect(errors({ a: nested(17, not, { $gt: 1 }) })).toHaveLength(1);
    const values = (inner: object) => ({ $elemMatch: inner });
    expect(errors({ a: nested(16, values, { $gt: 1 }) })).toEqual([]);
    expect(errors({ a: nested(17, values, { $gt: 1 }) })).toHaveLength(1);
  });

  test('no depth overflows the stack', () => {
    expect(errors(nested(50_000, and, { a: 1 }))).toHaveLength(1);
    expect(errors({ a: nested(50_000, (inner) => [inner], {}) })).toHaveLength(1);
  });

  test('1,000 nodes, not 1,001', () => {
    const tests = (count: number) => Array.from({ length: count }, (_, index) => ({ a: index }));
    expect(errors({ $or: tests(999) })).toEqual([]);
    expect(errors({ $or: tests(1000) })).toHaveLength(1);
    expect(errors({ $and: [{ $or: tests(500) }, { $or: tests(500) }] })).toHaveLength(1);
    expect(errors({ a: { $in: Array.from({ length: 1000 }, (_, index) => index) } })).toEqual([]);
  });

  test('100 nodes inside $elemMatch, not 101', () => {
    const inside = (count: number) => ({ a: { $elemMatch: { $or: Array.from({ length: count }, () => ({ b: 1 })) } } });
    expect(errors(inside(99))).toEqual([]);
    expect(errors(inside(100))).toHaveLength(1);
    expect(errors({ $and: [inside(60), inside(60)] })).toHaveLength(1);
  });

  test('50,000 values, not 50,001', () => {
    const lists = (count: number, value: unknown) => ({
      $or: Array.from({ length: count }, () => ({ a: { $in: Array(1000).fill(value) } })),
    });
    expect(errors(lists(50, 1))).toEqual([]);
    expect(errors(lists(51, 1)).map(([, message]) => message)).toEqual(['a condition has at most 50000 values']);
    expect(errors(lists(25, [1]))).toEqual([]);
    expect(errors(lists(26, [1]))).toHaveLength(1);
    expect(errors(lists(300, [1]))).toHaveLength(1);
  });

  test('patterns together', () => {
    const patterns = (source: string, count: number) => ({
      $or: Array.from({ length: count }, () => ({ a: { $regex: source } })),
    });
    expect(errors(patterns('^user-', 900))).toEqual([]);
    expect(errors(patterns('[ab]{900}', 5))).toEqual([]);
    expect(errors(patterns('[ab]', 250))).toEqual([]);
    expect(errors(patterns('[ab]', 251)).length).toBeGreaterThan(0);
    expect(errors(patterns('[ab]{900}', 50)).length).toBeGreaterThan(0);
    expect(errors(patterns('[ab]{1000}'.repeat(90), 500)).length).toBeGreaterThan(0);
  });
});

test('the tree does not change with its source', () => {
  const list = [1];
  const parsed = parseCondition({ a: list });
  list.push(2);
  expect(parsed).toEqual({ ok: true, condition: { kind: 'field', path: ['a'], test: { kind: 'equal', value: [1] } } });
});

describe('segments', () => {
  const wire = { $inSegment: 'A', $or: [{ $notInSegment: 'b.c-1' }, { x: { $elemMatch: { y: [{ z: 1 }] } } }] };
  const stored = { $inSegment: 1, $or: [{ $notInSegment: 2 }, { x: { $elemMatch: { y: [{ z: 1 }] } } }] };
  const ids = new Map([
    ['A', 1],
    ['b.c-1', 2],
  ]);
  const slugs = new Map([
    [1, 'A'],
    [2, 'b.c-1'],
  ]);

  test('are named by slug on the wire', () => {
    const parsed = parseCondition(wire, '/condition');
    expect(parsed.ok && references(parsed.condition)).toEqual([
      { segment: 'A', at: '/condition/$inSegment' },
      { segment: 'b.c-1', at: '/condition/$or/0/$notInSegment' },
    ]);
  });

  test('and by id where stored', () => {
    const parsed = parseStoredCondition(stored);
    expect(parsed.ok && references(parsed.condition).map(({ segment }) => segment)).toEqual([1, 2]);
    expect(parseStoredCondition(wire).ok).toBe(false);
    expect(parseCondition(stored).ok).toBe(false);
  });

  test('there and back', () => {
    expect(toStored(wire, (slug) => ids.get(slug))).toEqual(stored);
    expect(toWire(stored, (id) => slugs.get(id))).toEqual(wire);
    expect(() => toStored({ $inSegment: 'unknown' }, (slug) => ids.get(slug))).toThrow('unknown segment');
  });
});
