import fc from 'fast-check';
import { expect, it } from 'vitest';
import { pauseMs, retryAfterMs, retryPlan } from './pauses.ts';

const middle = { ...retryPlan, random: () => 0.5 };

it('pauses grow from seconds to hours, for three days', () => {
  const pauses = Array.from({ length: 25 }, (_, i) => pauseMs(middle, i + 1));
  expect(pauses.slice(0, 9).map((ms) => ms / 1_000)).toEqual([5, 30, 120, 600, 1_800, 3_600, 7_200, 14_400, 14_400]);
  const sums = pauses.map((_, i) => pauses.slice(0, i + 1).reduce((sum, ms) => sum + ms));
  expect(sums.findIndex((ms) => ms > retryPlan.giveUpMs)).toBe(24);
});

it('jitter is a fifth at most', () => {
  expect(pauseMs({ ...retryPlan, random: () => 0 }, 1)).toBe(4_000);
  expect(pauseMs({ ...retryPlan, random: () => 1 }, 1)).toBeCloseTo(6_000);
  expect(new Set(Array.from({ length: 20 }, () => pauseMs(retryPlan, 3))).size).toBeGreaterThan(15);
});

it('the pause that the receiver asks for takes precedence, within bounds', () => {
  expect(pauseMs(middle, 8, 60_000)).toBe(60_000);
  expect(pauseMs(middle, 1, 60_000)).toBe(60_000);
  expect(pauseMs(middle, 8, 0)).toBe(5_000);
  expect(pauseMs(middle, 1, 1e12)).toBe(retryPlan.maxAskedMs);
});

it.each([
  ['7', 7_000],
  ['0', 0],
  ['Thu, 26 Nov 2026 08:00:10 GMT', 10_000],
  ['Thu, 26 Nov 2026 07:00:00 GMT', 0],
  [undefined, undefined],
  ['', undefined],
  ['-1', undefined],
  ['1.5', undefined],
  ['soon', undefined],
  ['2026-11-26', undefined],
  ['99999999999', undefined],
])('Retry-After: %s is %s ms', (text, ms) => {
  expect(retryAfterMs(text, Date.parse('2026-11-26T08:00:00Z'))).toBe(ms);
});

it('any Retry-After yields a pause within bounds', () => {
  fc.assert(
    fc.property(fc.string(), fc.integer({ min: 1, max: 1_000 }), (text, failures) => {
      const pause = pauseMs(retryPlan, failures, retryAfterMs(text, Date.now()));
      return pause >= 4_000 && pause <= retryPlan.maxAskedMs * 1.2;
    }),
  );
});
