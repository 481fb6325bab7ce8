import { describe, expect, test } from 'vitest';
import { compileCondition } from './evaluate.ts';
import type { JsonObject } from './json.ts';
import { parseStoredCondition } from './parse.ts';

function matches(query: JsonObject, user: JsonObject, segments: readonly number[] = []): boolean {
  const parsed = parseStoredCondition(query);
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.errors));
  return compileCondition(parsed.condition)(user, (segment) => segments.includes(segment));
}

type Row = [query: JsonObject, user: JsonObject, expected: boolean];

const TABLES: Record<string, Row[]> = {
  'equality stays within a type': [
    [{}, {}, true],
    [{ a: 1 }, { a: 1 }, true],
    [{ a: 1 }, { a: '1' }, false],
    [{ a: 1 }, { a: true }, false],
    [{ a: 0 }, { a: null }, false],
    [{ a: 0 }, { a: false }, false],
    [{ a: '' }, {}, false],
    [{ a: 'ü' }, { a: 'u\u0308' }, false],
    [{ a: 0.3 }, { a: 0.1 + 0.2 }, false],
    [{ a: 1, b: 2 }, { a: 1, b: 2 }, true],
    [{ a: 1, b: 2 }, { a: 1, b: 3 }, false],
  ],
  'null matches missing': [
    [{ a: null }, {}, true],
    [{ a: null }, { a: null }, true],
    [{ a: null }, { a: 0 }, false],
    [{ a: null }, { a: [] }, false],
    [{ a: null }, { a: [1, null] }, true],
    [{ a: { $ne: null } }, {}, false],
    [{ a: { $in: [null, 1] } }, {}, true],
    [{ a: { $nin: [null] } }, {}, false],
    [{ a: { $gte: null } }, {}, true],
    [{ a: { $lte: null } }, { a: null }, true],
    [{ a: { $gt: null } }, { a: null }, false],
    [{ 'a.b': null }, { a: 5 }, true],
    [{ 'a.b': null }, { a: {} }, true],
    [{ 'a.b': null }, { a: [] }, false],
    [{ 'a.b': null }, { a: [5] }, false],
    [{ 'a.b': null }, { a: [{ b: 1 }, {}] }, true],
  ],
  'a scalar matches an array that holds it': [
    [{ a: 1 }, { a: [1, 2] }, true],
    [{ a: 1 }, { a: [[1]] }, false],
    [{ a: { $gt: 1, $lt: 4 } }, { a: [0, 9] }, true],
    [{ a: { $in: [3, 2] } }, { a: [1, 2] }, true],
    [{ a: { $regex: '^x' } }, { a: [1, 'xy'] }, true],
    [{ a: { $ne: 1 } }, { a: [1, 2] }, false],
    [{ a: { $nin: [1] } }, { a: [2, 1] }, false],
    [{ a: { $not: { $gt: 5 } } }, { a: [1, 9] }, false],
    [{ a: { $not: { $gt: 5 } } }, { a: 'text' }, true],
    [{ a: { $not: { $gt: 5 } } }, {}, true],
  ],
  'arrays and documents are compared whole': [
    [{ a: [1, 2] }, { a: [1, 2] }, true],
    [{ a: [1, 2] }, { a: [2, 1] }, false],
    [{ a: [1, 2] }, { a: [[1, 2], 3] }, true],
    [{ a: [] }, { a: [] }, true],
    [{ a: { $in: [[1], { b: 1 }] } }, { a: [1] }, true],
    [{ a: { $in: [[1], { b: 1 }] } }, { a: [{ b: 1 }] }, true],
    [{ a: { b: 1, c: 2 } }, { a: { c: 2, b: 1 } }, true],
    [{ a: { b: 1 } }, { a: { b: 1, c: 2 } }, false],
    [{ a: {} }, { a: {} }, true],
    [{ a: {} }, {}, false],
    [{ a: { constructor: 1 } }, { a: { b: 1 } }, false],
  ],
  'order is within a type': [
    [{ a: { $gt: 1 } }, { a: '2' }, false],
    [{ a: { $lt: 'b' } }, { a: 'a' }, true],
    [{ a: { $lt: 'b' } }, { a: 1 }, false],
    [{ a: { $gt: 'Z' } }, { a: 'a' }, true],
    [{ a: { $gt: false } }, { a: true }, true],
    [{ a: { $gte: true } }, { a: 1 }, false],
    // U+1F600 stands after U+FF5E by code point, before it by UTF-16 unit.
    [{ a: { $gt: '\uff5e' } }, { a: '😀' }, true],
    [{ a: { $lt: '😀' } }, { a: '\uff5e' }, true],
    [{ a: { $gte: 5e-324 } }, { a: 5e-324 }, true],
  ],
  'dotted paths lead through documents and arrays': [
    [{ 'a.b': 1 }, { a: { b: 1 } }, true],
    [{ 'a.b': 1 }, { a: [{ b: 2 }, { b: 1 }] }, true],
    [{ 'a.b': 1 }, { a: [[{ b: 1 }]] }, false],
    [{ 'a.b': 1 }, { a: [{ b: [1] }] }, true],
    [{ 'a.b.c': 1 }, { a: [{ b: [{ c: 0 }, { c: 1 }] }] }, true],
    [{ 'a.b': { $ne: 1 } }, { a: [{ b: 2 }, { b: 1 }] }, false],
    [{ 'a.b': { $gt: 1, $lt: 2 } }, { a: [{ b: 0 }, { b: 9 }] }, true],
    [{ constructor: null }, {}, true],
    [{ 'a.toString': { $exists: false } }, { a: {} }, true],
    [{ 'a.length': 2 }, { a: [1, 2] }, false],
  ],
  'a number in a path is a name and an index': [
    [{ 'a.0': 1 }, { a: [1, 2] }, true],
    [{ 'a.1': 1 }, { a: [1, 2] }, false],
    [{ 'a.0': 1 }, { a: { 0: 1 } }, true],
    [{ 'a.1': 4 }, { a: [5, { 1: 4 }, 3] }, true],
    [{ 'a.0.b': 1 }, { a: [{ b: 1 }] }, true],
    [{ 'a.1.b': 4 }, { a: [5, [{ b: 4 }], 3] }, true],
    [{ 'a.1': [2, 4] }, { a: [5, [2, 4]] }, true],
    [{ 'a.1': 2 }, { a: [5, [2, 4]] }, false],
    [{ 'a.00': 1 }, { a: [1] }, false],
    [{ 'a.0.0': 1 }, { a: [[1]] }, true],
    [{ 'a.2': { $exists: true } }, { a: [1, 2] }, false],
    [{ 'a.0.b': null }, { a: [1] }, false],
    [{ 'a.0.b': null }, { a: [{ b: 1 }] }, true],
  ],
  '$exists, $size and $all': [
    [{ a: { $exists: true } }, { a: null }, true],
    [{ a: { $exists: true } }, { a: [] }, true],
    [{ a: { $exists: false } }, {}, true],
    [{ 'a.b': { $exists: true } }, { a: [1, { b: 1 }] }, true],
    [{ 'a.b': { $exists: false } }, { a: [1, { c: 1 }] }, true],
    [{ a: { $size: 2 } }, { a: [1, [2]] }, true],
    [{ a: { $size: 1 } }, { a: [[1, 2], [3]] }, false],
    [{ a: { $size: 0 } }, {}, false],
    [{ 'a.b': { $size: 2 } }, { a: [{ b: [1, 2] }] }, true],
    [{ a: { $all: [1, 2] } }, { a: [2, 1, 0] }, true],
    [{ a: { $all: [1, 2] } }, { a: [1] }, false],
    [{ a: { $all: [1] } }, { a: 1 }, true],
    [{ a: { $all: [[1, 2]] } }, { a: [1, 2] }, true],
    [{ a: { $all: [] } }, { a: [] }, false],
    [{ a: { $all: [null] } }, {}, true],
    [{ a: { $all: [{ $elemMatch: { b: 1 } }, { $elemMatch: { b: 2 } }] } }, { a: [{ b: 1 }, { b: 2 }] }, true],
  ],
  '$elemMatch wants one element that does it all': [
    [{ a: { $elemMatch: { $gt: 1, $lt: 4 } } }, { a: [0, 9] }, false],
    [{ a: { $elemMatch: { $gt: 1, $lt: 4 } } }, { a: [0, 2] }, true],
    [{ a: { $elemMatch: { $gt: 1 } } }, { a: 2 }, false],
    [{ a: { $elemMatch: { $gt: 1 } } }, { a: [[2]] }, false],
    [{ a: { $elemMatch: { $elemMatch: { $gt: 1 } } } }, { a: [[2]] }, true],
    [{ a: { $elemMatch: { $ne: 1 } } }, { a: [1, 2] }, true],
    [{ a: { $elemMatch: { $not: { $exists: false } } } }, { a: [null] }, true],
    [{ a: { $elemMatch: { b: 1, c: 2 } } }, { a: [{ b: 1 }, { c: 2 }] }, false],
    [{ a: { $elemMatch: { b: 1, c: 2 } } }, { a: [{ b: 1, c: 2 }] }, true],
    [{ a: { $elemMatch: { b: null } } }, { a: [1] }, false],
    [{ a: { $elemMatch: { b: null } } }, { a: [[1]] }, true],
    [{ a: { $elemMatch: { 0: 1 } } }, { a: [[1]] }, true],
    [{ a: { $elemMatch: { length: 1 } } }, { a: [[1]] }, false],
    [{ a: { $elemMatch: {} } }, { a: [1] }, false],
    [{ a: { $elemMatch: {} } }, { a: [{}] }, true],
    [{ a: { $elemMatch: { $or: [{ b: 1 }, { b: 2 }] } } }, { a: [{ b: 2 }] }, true],
    [{ 'a.b': { $elemMatch: { $gt: 1 } } }, { a: [{ b: [2] }] }, true],
  ],
  logic: [
    [{ $and: [{ a: 1 }, { b: 1 }] }, { a: 1 }, false],
    [{ $or: [{ a: 1 }, { b: 1 }] }, { a: 1 }, true],
    [{ $nor: [{ a: 1 }, { b: 1 }] }, { a: 1 }, false],
    [{ $nor: [{ a: 1 }, { b: 1 }] }, {}, true],
    [{ $or: [{}] }, {}, true],
    [{ a: { $not: { $gt: 1, $lt: 5 } } }, { a: 9 }, true],
    [{ a: { $not: { $not: { $eq: 1 } } } }, { a: 1 }, true],
  ],
  patterns: [
    [{ a: { $regex: 'b' } }, { a: 'abc' }, true],
    [{ a: { $regex: 'B' } }, { a: 'abc' }, false],
    [{ a: { $regex: 'B', $options: 'i' } }, { a: 'abc' }, true],
    [{ a: { $regex: '1' } }, { a: 1 }, false],
    [{ a: { $not: { $regex: 'b' } } }, {}, true],
    [{ a: { $regex: '^.$' } }, { a: '😀' }, true],
  ],
  versions: [
    [{ a: { $vgt: '1.9' } }, { a: '1.10.0' }, true],
    [{ a: { $vlt: '1.0.0' } }, { a: '1.0.0-beta' }, true],
    [{ a: { $veq: '1.2' } }, { a: 'v1.2.0+build' }, true],
    [{ a: { $vgte: '1.2.0', $vlt: '2.0.0' } }, { a: ['0.1.0', '1.5.0'] }, true],
    [{ a: { $vlte: '9.9.9' } }, { a: 'latest' }, false],
    [{ a: { $vlte: '9.9.9' } }, { a: 1 }, false],
    [{ a: { $vne: '1.2.3' } }, { a: 'latest' }, true],
    [{ a: { $vne: '1.2.3' } }, {}, true],
    [{ a: { $vne: '1.2.3' } }, { a: '1.2.3' }, false],
  ],
};

describe.each(Object.entries(TABLES))('%s', (_, rows) => {
  test.each(rows.map((row) => ({ row, name: JSON.stringify(row) })))('$name', ({ row: [query, user, expected] }) => {
    expect(matches(query, user)).toBe(expected);
  });
});

test('segments stand beside attributes', () => {
  expect(matches({ $inSegment: 7 }, {}, [7])).toBe(true);
  expect(matches({ $inSegment: 7 }, {}, [])).toBe(false);
  expect(matches({ $notInSegment: 7, a: 1 }, { a: 1 }, [])).toBe(true);
  expect(matches({ $or: [{ a: 2 }, { $and: [{ $inSegment: 7 }, { $inSegment: 8 }] }] }, { a: 1 }, [7, 8])).toBe(true);
});
