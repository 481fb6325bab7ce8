import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { processorMs } from '../../../test/processor.ts';
import { versionKey } from './version.ts';

function compare(a: string, b: string): number {
  const left = versionKey(a);
  const right = versionKey(b);
  if (left === undefined || right === undefined) throw new Error(`no version: ${a}, ${b}`);
  return left < right ? -1 : left > right ? 1 : 0;
}

// Each stands below the next; the pre-releases are the example of semver.org, section 11.
const ASCENDING = [
  '0.0.9',
  '0.9.99',
  '1.0.0-1',
  '1.0.0-2',
  '1.0.0-11',
  '1.0.0-alpha',
  '1.0.0-alpha.1',
  '1.0.0-alpha.beta',
  '1.0.0-beta',
  '1.0.0-beta.2',
  '1.0.0-beta.11',
  '1.0.0-rc.1',
  '1.0.0',
  '1.0.1',
  '1.2.0',
  '1.10.0',
  '2.0.0',
  '9007199254740993.0.0',
  '9007199254740994.0.0',
  '99999999999999999999999999999999.0.0',
];

test('orders by the precedence of semver', () => {
  for (const [index, low] of ASCENDING.entries()) {
    expect(compare(low, low)).toBe(0);
    for (const high of ASCENDING.slice(index + 1)) {
      expect([low, high, compare(low, high)]).toEqual([low, high, -1]);
      expect([high, low, compare(high, low)]).toEqual([high, low, 1]);
    }
  }
});

describe('reads with some tolerance', () => {
  test.each([
    ['v1.2.3', '1.2.3'],
    ['V1.2.3', '1.2.3'],
    ['1', '1.0.0'],
    ['1.2', '1.2.0'],
    ['1-beta', '1.0.0-beta'],
    ['01.002.3', '1.2.3'],
    ['1.2.3+build.7', '1.2.3'],
    ['1.2.3-rc.01', '1.2.3-rc.1'],
  ])('%s is %s', (a, b) => {
    expect(compare(a, b)).toBe(0);
  });

  test.each([
    '',
    'v',
    'latest',
    '1.',
    '.1',
    '1.2.x',
    '1.2.3.4',
    '1.2.3-',
    '1.2.3-a..b',
    '1.2.3+',
    ' 1.2.3',
    '1.2.3\n',
    '-1.0.0',
    '1,2',
  ])('%j is none', (text) => {
    expect(versionKey(text)).toBeUndefined();
  });
});

test('takes linear time', () => {
  const started = processorMs();
  for (const unit of ['1', '1.', 'a-', 'a.', '-', '0']) {
    versionKey(`1.2.3-${unit.repeat(200_000)}!`);
    versionKey(`${unit.repeat(200_000)}!`);
  }
  expect(processorMs() - started).toBeLessThan(2_000);
});

test('is a total order', () => {
  const numeral = fc.constantFrom('0', '1', '10', '007', '18446744073709551616');
  const version = fc
    .tuple(
      fc.array(numeral, { minLength: 1, maxLength: 3 }),
      fc.array(fc.oneof(numeral, fc.constantFrom('a', 'B', '-', 'a1')), { maxLength: 3 }),
    )
    .map(([core, pre]) => core.join('.') + (pre.length > 0 ? `-${pre.join('.')}` : ''));
  fc.assert(
    fc.property(version, version, version, (a, b, c) => {
      expect(compare(a, b) + compare(b, a)).toBe(0);
      if (compare(a, b) <= 0 && compare(b, c) <= 0) expect(compare(a, c)).toBeLessThanOrEqual(0);
    }),
  );
});
