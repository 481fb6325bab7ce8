import { expect, it } from 'vitest';
import { rowsOf, type Sample } from './measure.ts';
import { calmRounds, readProbe } from './speed.ts';
import { sample } from './test/sample.ts';

it('reads what a probe has said, but for a line that is not all there', () => {
  expect(readProbe('25.10\n26.00\n2')).toEqual([25.1, 26]);
  expect(readProbe('2')).toEqual([]);
});

it('lets rounds count in which the machine was hardly slower than in the calmest, and three at least', () => {
  expect(calmRounds([30, 25, 50, 26, 24, 28.7, 28.9])).toEqual([1, 3, 4, 5]);
  expect(calmRounds([30, 31, 50, 26, 20])).toEqual([0, 3, 4]);
  expect(calmRounds([30, 20])).toEqual([0, 1]);
});

it('lets all count where the speed of the machine is not known of each', () => {
  expect(calmRounds([25, Number.NaN, 90, 26])).toEqual([0, 1, 2, 3]);
});

it('chooses rounds by the slowest machine that any contestant had, whatever was measured', () => {
  const of = (probed: number, serverMicros: number): Sample => sample({ probed, serverMicros });
  // The second round is the calmest for one contestant alone.
  const rounds = [
    [of(26, 90), of(26, 91)],
    [of(25, 10), of(50, 11)],
    [of(27, 70), of(28, 71)],
    [of(29, 80), of(29, 81)],
  ];
  const [one, other] = rowsOf(['one', 'other'], rounds);
  expect(one?.samples.map(({ serverMicros }) => serverMicros)).toEqual([90, 70, 80]);
  expect(one?.others.map(({ serverMicros }) => serverMicros)).toEqual([10]);
  expect(other).toMatchObject({ contestant: 'other', median: { serverMicros: 81, probed: 28 } });
  expect(other?.others).toHaveLength(1);
});
