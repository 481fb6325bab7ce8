import fc from 'fast-check';
import { expect, it } from 'vitest';
import { type JsonSize, measureJson } from './json-scan.ts';

function count(value: unknown, size = { fields: 0, allFields: 0, depth: 0 }, depth = 1): JsonSize {
  if (typeof value !== 'object' || value === null) return size;
  size.depth = Math.max(size.depth, depth);
  const children = Object.values(value);
  if (!Array.isArray(value)) {
    size.fields = Math.max(size.fields, children.length);
    size.allFields += children.length;
  }
  for (const child of children) count(child, size, depth + 1);
  return size;
}

it('counts what a parser would find', () => {
  fc.assert(
    fc.property(fc.json({ stringUnit: 'binary', maxDepth: 6 }), (text) => {
      expect(measureJson(Buffer.from(text))).toEqual(count(JSON.parse(text)));
    }),
    { numRuns: 500 },
  );
  const tricky = '{"a\\"b:":"}:{","c":[{"d":{}},{"e\\\\":[1,2,{"f":":"}]}]}';
  expect(measureJson(Buffer.from(tricky))).toEqual(count(JSON.parse(tricky)));
});

it('takes what is no JSON at all', () => {
  for (const text of ['', '}}}]]', '"', '"\\', '{'.repeat(100_000), ':'.repeat(100_000), '[:]']) {
    expect(measureJson(Buffer.from(text)).allFields).toBeLessThanOrEqual(text.length);
  }
});
