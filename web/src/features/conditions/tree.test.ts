import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Group, type JsonObject, type Node, newTest, readTree, touched, writeTree } from './tree.ts';

const drawn: readonly JsonObject[] = [
  { country: 'NL' },
  { country: 'NL', orders: { $gte: 3, $lt: 9 } },
  { $or: [{ a: 1 }, { b: { $in: [1, 2] }, c: null }] },
  { $nor: [{ a: { $exists: false } }] },
  { a: { $not: { $gt: 1, $lt: 5 } } },
  { tags: { $all: ['x', 'y'] }, $inSegment: 'PAYING', $notInSegment: 'STAFF' },
  { orders: { $elemMatch: { sku: 'x', total: { $gte: 5 } } } },
  { scores: { $elemMatch: { $gt: 1, $lt: 5 } } },
  { email: { $regex: '@example\\.com$', $options: 'i' } },
  { $and: [{ a: 1 }, { a: { $ne: 2 } }] },
  { v: { $vgte: '2.0', $vlt: '3.0' }, seen: { $after: 'now-7d' } },
];
const undrawn: readonly JsonObject[] = [
  { a: { b: { c: 1 } } },
  { a: { $all: [{ $elemMatch: { b: 1 } }] } },
  { a: { $future: [1] } },
  { $someday: true },
  { a: { $in: [[1], { b: 2 }] } },
  { $and: 'wrong' },
];

function firstLeaf(node: Node): Node {
  return node.kind === 'group' && node.of[0] ? firstLeaf(node.of[0]) : node;
}

describe('a condition that is not edited', () => {
  it.each([...drawn, ...undrawn])('comes back as it was: %j', (condition) => {
    expect(JSON.stringify(writeTree(readTree(condition)))).toBe(JSON.stringify(condition));
  });

  it('comes back as it was, whatever JSON it is', () => {
    const name = fc.oneof(
      fc.string(),
      fc.constantFrom('$and', '$or', '$nor', '$not', '$in', '$elemMatch', '$regex', 'a'),
    );
    const { json } = fc.letrec((tie) => ({
      json: fc.oneof(
        { maxDepth: 4 },
        fc.constantFrom(null, true, 1, 'x'),
        fc.array(tie('json'), { maxLength: 3 }),
        fc.dictionary(name, tie('json'), { maxKeys: 3 }),
      ),
    }));
    fc.assert(
      fc.property(fc.dictionary(name, json, { maxKeys: 4 }), (condition) => {
        const before = JSON.parse(JSON.stringify(condition));
        expect(JSON.stringify(writeTree(readTree(before)))).toBe(JSON.stringify(before));
      }),
    );
  });

  it.each(drawn)('is drawn without a raw part: %j', (condition) => {
    const kinds = (node: Node): string[] => ['of' in node ? node.of.map(kinds) : [], node.kind].flat(9);
    expect(kinds(readTree(condition))).not.toContain('raw');
  });

  it.each(undrawn)('is kept as a raw part where it cannot be drawn: %j', (condition) => {
    expect(firstLeaf(readTree(condition)).kind).toBe('raw');
  });
});

const add = (root: Group, node: Node): Group => touched(root, { of: [...root.of, node] });

describe('an edit', () => {
  it('writes only what it touches', () => {
    const root = readTree({ a: { $future: 1 }, b: { $not: { $gt: 1 } } });
    expect(writeTree(add(root, { ...newTest('c'), value: 'x' }))).toEqual({
      a: { $future: 1 },
      b: { $not: { $gt: 1 } },
      c: 'x',
    });
  });

  it('puts operators of one attribute side by side', () => {
    const root = readTree({ a: { $gte: 1 } });
    expect(writeTree(add(root, { ...newTest('a'), operator: '$lt', value: 5 }))).toEqual({ a: { $gte: 1, $lt: 5 } });
  });

  it('never loses a test to another of the same name', () => {
    const root = readTree({ a: 1 });
    expect(writeTree(add(root, { ...newTest('a'), value: 2 }))).toEqual({ $and: [{ a: 1 }, { a: 2 }] });
    const patterns = readTree({ a: { $regex: 'x', $options: 'i' } });
    expect(writeTree(add(patterns, { ...newTest('a'), operator: '$regex', value: 'y' }))).toEqual({
      $and: [{ a: { $regex: 'x', $options: 'i' } }, { a: { $regex: 'y' } }],
    });
  });

  it('changes how rows go together', () => {
    const root = readTree({ a: 1, b: 2 });
    expect(writeTree(touched(root, { join: 'any' }))).toEqual({ $or: [{ a: 1 }, { b: 2 }] });
    expect(writeTree(touched(root, { join: 'none' }))).toEqual({ $nor: [{ a: 1 }, { b: 2 }] });
  });

  it('asks nothing when all rows are gone', () => {
    expect(writeTree(touched(readTree({ a: 1 }), { of: [] }))).toBeNull();
  });
});
