import { describe, expect, it } from 'vitest';
import { readOptions, scenarioNames, UsageError } from './options.ts';

describe('readOptions', () => {
  it('measures in full by default', () => {
    expect(readOptions([], {})).toMatchObject({
      only: scenarioNames,
      rounds: 9,
      seconds: 4,
      users: 100_000,
      sizes: [],
      save: true,
    });
  });

  it('takes a quick look, of which nothing is kept', () => {
    expect(readOptions(['--quick'], {})).toMatchObject({ rounds: 2, seconds: 1, users: 10_000, save: false });
    expect(readOptions(['--quick', '--save', '--seconds', '2'], {})).toMatchObject({ seconds: 2, save: true });
    expect(readOptions(['--no-save'], {})).toMatchObject({ seconds: 4, save: false });
  });

  it('keeps the order of the table, whatever order was asked for', () => {
    expect(readOptions(['--only', 'add, read'], {}).only).toEqual(['read', 'add']);
    expect(readOptions(['--sizes', '10,50'], {}).sizes).toEqual([10, 50]);
  });

  it.each([
    ['--only', 'reed'],
    ['--rounds', '0'],
    ['--rounds', '1.5'],
    ['--seconds', 'ten'],
    ['--sizes', '10,'],
    ['--fast'],
    ['stray'],
  ])('refuses %s %s', (...args) => {
    expect(() => readOptions(args, {})).toThrow(UsageError);
  });

  it('takes DATABASE_URL, but not an empty one', () => {
    expect(readOptions([], { DATABASE_URL: 'postgres://localhost/x' }).databaseUrl).toBe('postgres://localhost/x');
    expect(readOptions([], { DATABASE_URL: '' }).databaseUrl).toBeUndefined();
  });
});
