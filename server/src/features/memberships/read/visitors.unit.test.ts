import { expect, it } from 'vitest';
import { hashOf, Visitors } from './visitors.ts';

it('knows who came before', () => {
  const visitors = new Visitors();
  expect([7, 8, 7, 7, 9].map((id) => visitors.cameBefore(id))).toEqual([false, false, true, true, false]);
});

it('knows nearly all of a hundred thousand, and of ids as large as there are', () => {
  for (const first of [1, 2 ** 31 - 50_000, 2 ** 53 - 100_000]) {
    const visitors = new Visitors();
    const ids = Array.from({ length: 100_000 }, (_, i) => first + i);
    const known = () => ids.filter((id) => visitors.cameBefore(id)).length;
    expect(known()).toBeLessThan(10);
    expect(known()).toBeGreaterThan(80_000);
  }
});

it('forgets users for those who came later', () => {
  const visitors = new Visitors();
  visitors.cameBefore(1);
  for (let id = 2; id < 5_000_000; id++) visitors.cameBefore(id);
  expect(visitors.cameBefore(1)).toBe(false);
});

it('tells texts apart that differ in one place', () => {
  // The first two are among the test vectors of FNV-1a.
  expect([hashOf('') >>> 0, hashOf('foobar') >>> 0]).toEqual([0x811c9dc5, 0xbf9cf968]);
  const texts = Array.from({ length: 10_000 }, (_, i) => `{7,${i},9}`);
  expect(new Set(texts.map(hashOf)).size).toBeGreaterThan(9_990);
});
