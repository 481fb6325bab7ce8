import { expect, it } from 'vitest';
import { readOverrides } from './overrides.ts';

function entriesOf(text: string | null) {
  const entries: [number, string][] = [];
  readOverrides(text).forEach((mode, segment) => {
    entries.push([segment, mode]);
  });
  return entries;
}

it('reads the overrides that a statement returns', () => {
  expect(entriesOf(null)).toEqual([]);
  expect(entriesOf('{}')).toEqual([]);
  expect(entriesOf('{12,-15,9007199254740991}')).toEqual([
    [12, 'include'],
    [15, 'exclude'],
    [9_007_199_254_740_991, 'include'],
  ]);
});

it.each([1, 16, 17, 1_000])('finds each of %s by its segment', (count) => {
  const signed = Array.from({ length: count }, (_, i) => (i % 3 === 0 ? -(i + 5) : i + 5));
  const overrides = readOverrides(`{${signed.join()}}`);
  for (const one of signed) {
    expect(overrides.get(Math.abs(one))).toBe(one > 0 ? 'include' : 'exclude');
    expect(overrides.has(Math.abs(one))).toBe(true);
  }
  for (const other of [0, 4, count + 5]) {
    expect(overrides.get(other)).toBeUndefined();
    expect(overrides.has(other)).toBe(false);
  }
});
