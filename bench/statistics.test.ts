import { expect, it } from 'vitest';
import { median, medianOfKnown } from './statistics.ts';

it('takes the middle, whatever the order', () => {
  expect(median([9, 1, 5])).toBe(5);
  expect(median([4, 1, 3, 2])).toBe(2.5);
  expect(median([7])).toBe(7);
  expect(median([])).toBeNaN();
});

it('knows no median of what is partly unknown', () => {
  expect(medianOfKnown([1, 3, 2])).toBe(2);
  expect(medianOfKnown([1, undefined, 2])).toBeUndefined();
  expect(medianOfKnown([])).toBeUndefined();
});
