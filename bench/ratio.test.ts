import { expect, it } from 'vitest';
import { medianSample, type Row, type Sample } from './measure.ts';
import { compare, isReached, micros, rate, reach } from './ratio.ts';
import { sample } from './test/sample.ts';

const row = (...samples: readonly Partial<Sample>[]): Row => {
  const whole = samples.map(sample);
  return { contestant: 'x', samples: whole, others: [], median: medianSample(whole) };
};

it('compares what was measured, and only that', () => {
  const bounds = { atLeast: 1.4 };
  expect(compare('x', [row({ rate: 1_500 }), row({})], rate, bounds)).toEqual([
    { what: 'x', value: 1.5, atLeast: 1.4 },
  ]);
  expect(compare('x', [row({}), undefined], rate, bounds)).toEqual([]);
});

it('compares round by round, so that a slow one favors neither', () => {
  const ours = row({ rate: 1_100 }, { rate: 300 }, { rate: 1_300 });
  const theirs = row({ rate: 1_000 }, { rate: 250 }, { rate: 1_000 });
  expect(compare('x', [ours, theirs], rate, {})).toEqual([{ what: 'x', value: 1.2, range: [1.1, 1.3] }]);
});

it('knows no figure that is unknown of a round', () => {
  const partly = row({}, { databaseMicros: undefined }, {});
  expect(compare('x', [row({}, {}, {}), partly], micros, {})).toEqual([{ what: 'x', value: Number.NaN }]);
  expect(compare('x', [row({}, {}), row({})], rate, {})).toEqual([{ what: 'x', value: Number.NaN }]);
  expect(compare('x', [row({}), row({}, {})], rate, {})).toEqual([{ what: 'x', value: Number.NaN }]);
});

it('adds up processor time, where all of it is known', () => {
  expect(reach('x', row({}), micros, { atMost: 40 })).toEqual([{ what: 'x', value: 30, atMost: 40 }]);
  expect(reach('x', row({}, { serverMicros: 30 }), micros, {})).toEqual([{ what: 'x', value: 35, range: [30, 40] }]);
  expect(micros(sample({ databaseMicros: undefined }))).toBeNaN();
  expect(reach('x', undefined, micros, {})).toEqual([]);
});

it('holds figures to their bounds', () => {
  expect(isReached({ what: '', value: 1.4, atLeast: 1.4 })).toBe(true);
  expect(isReached({ what: '', value: 2.1, atMost: 2 })).toBe(false);
  expect(isReached({ what: '', value: Number.NaN, atLeast: 1 })).toBe(false);
});

it('takes the median of each figure on its own', () => {
  const middle = medianSample([sample({ rate: 1, p99: 9 }), sample({ rate: 2, p99: 7 }), sample({ rate: 3, p99: 8 })]);
  expect(middle).toMatchObject({ rate: 2, p99: 8, database: 1 });
});

it('takes the mean of what statements waited for, where a wait that was not seen counts as none', () => {
  const { waits } = medianSample([
    sample({ waits: { WALSync: 1, 'a processor': 2 } }),
    sample({ waits: { WALSync: 2 } }),
  ]);
  expect(waits).toEqual({ WALSync: 1.5, 'a processor': 1 });
});
