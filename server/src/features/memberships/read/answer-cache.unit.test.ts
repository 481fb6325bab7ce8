import { expect, it } from 'vitest';
import { AnswerCache } from './answer-cache.ts';

const small = () => new AnswerCache<string, string>(100, (_, value) => value.length);

it('remembers, and forgets what was not used lately', () => {
  const memory = small();
  memory.set('a', 'x'.repeat(60));
  memory.set('b', 'x'.repeat(60));
  // The first half is full: both are in the older one from here on.
  memory.set('c', 'x'.repeat(60));
  expect(memory.get('a')).toHaveLength(60);
  memory.set('d', 'x'.repeat(60));
  expect([memory.get('a'), memory.get('c'), memory.get('b')].map((one) => one?.length)).toEqual([60, 60, undefined]);
});

it('is bounded by the size of what it holds, not by their number', () => {
  const memory = small();
  for (let i = 0; i < 10_000; i++) memory.set(`key ${i}`, 'x'.repeat(50));
  expect(memory.size).toBeLessThanOrEqual(4);
  for (let i = 0; i < 10_000; i++) memory.set(`small ${i}`, 'x');
  expect(memory.size).toBeGreaterThanOrEqual(100);
  expect(memory.size).toBeLessThanOrEqual(200);
});

it('counts what takes the place of something once', () => {
  const memory = small();
  memory.set('kept', 'x'.repeat(10));
  for (let i = 0; i < 1_000; i++) memory.set('again', 'x'.repeat(50));
  expect(memory.get('kept')).toHaveLength(10);
  expect(memory.size).toBe(2);
});
