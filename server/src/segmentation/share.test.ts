import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Ramp, rampAt, rampReaches, type Share, takesBucket } from './share.ts';

const HOUR = 3_600_000;
const upwards: Ramp = { from: 0, to: 100_000, startsAt: 0, endsAt: HOUR };

describe('a ramp', () => {
  test.each([
    [-1, 0],
    [0, 0],
    [1, 0],
    [36, 1],
    [HOUR / 4, 25_000],
    [HOUR / 2, 50_000],
    [HOUR - 1, 99_999],
    [HOUR, 100_000],
    [2 * HOUR, 100_000],
  ])('from 0 to 100 over an hour is at %d ms %d thousandths', (now, expected) => {
    expect(rampAt(upwards, now)).toBe(expected);
  });

  test('is rounded down on its way down too', () => {
    const downwards = { from: 100_000, to: 0, startsAt: 0, endsAt: HOUR };
    expect([0, 1, 36, 37, HOUR - 1, HOUR].map((now) => rampAt(downwards, now))).toEqual([
      100_000, 99_999, 99_999, 99_998, 0, 0,
    ]);
  });

  test('is exact over centuries', () => {
    const long = { from: 1, to: 99_999, startsAt: 0, endsAt: 8_000_000_000_007 };
    expect(rampAt(long, 8_000_000_000_006)).toBe(99_998);
    expect(rampAt({ ...long, from: 99_999, to: 1 }, 8_000_000_000_006)).toBe(1);
  });
});

const percentage = fc.integer({ min: 0, max: 100_000 });
const ramp: fc.Arbitrary<Ramp> = fc
  .tuple(
    percentage,
    percentage,
    fc.integer({ min: -1_000, max: 1_000 }),
    fc.oneof(fc.integer({ min: 1, max: 500 }), fc.integer({ min: 1, max: 10 ** 13 })),
  )
  .map(([from, to, startsAt, duration]) => ({ from, to, startsAt, endsAt: startsAt + duration }));
const bucket = fc.nat(2 ** 32 - 1).map((word) => (word / 2 ** 32) * 100);

test('a ramp changes its mind about a bucket just when it says', () => {
  fc.assert(
    fc.property(ramp, bucket, (one, ofBucket) => {
      const share: Share = { kind: 'ramp', salt: '', ramp: one };
      const isIn = (now: number) => takesBucket(share, ofBucket, now);
      const [before, after] = [isIn(one.startsAt - 1), isIn(one.endsAt)];
      const reached = rampReaches(one, ofBucket);
      if (before === after) {
        expect(reached).toBe(Number.POSITIVE_INFINITY);
      } else {
        expect([isIn(reached - 1), isIn(reached)]).toEqual([before, after]);
      }
    }),
    { numRuns: 5_000 },
  );
});

test('ranges of a layer take each bucket once', () => {
  const shares = [0, 12.5, 33.333, 100].flatMap((to, i, all): Share[] =>
    i === 0 ? [] : [{ kind: 'layer', salt: '', from: all[i - 1] ?? 0, to }],
  );
  fc.assert(
    fc.property(bucket, (ofBucket) => {
      expect(shares.filter((share) => takesBucket(share, ofBucket, 0))).toHaveLength(1);
    }),
  );
});
