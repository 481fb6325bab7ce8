import { describe, expect, test } from 'vitest';
import { NOW, TABLES } from '../../../test/conditions/tables.ts';
import { compileCondition } from './evaluate.ts';
import { Evaluation } from './evaluation.ts';
import type { JsonObject } from './json.ts';
import { parseStoredCondition } from './parse.ts';

function matches(query: JsonObject, user: JsonObject, segments: readonly number[] = []): boolean {
  const parsed = parseStoredCondition(query);
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.errors));
  return compileCondition(parsed.condition)(user, new Evaluation(NOW, (segment) => segments.includes(segment)));
}

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
