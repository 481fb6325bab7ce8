import { describe, expect, it } from 'vitest';
import { carriedValue, shownOf, testOf, usualType, valueOfText } from './operators.ts';

describe('a pattern', () => {
  it.each([
    ['@example\\.com$', 'ends', '@example.com'],
    ['^pro', 'starts', 'pro'],
    ['a\\+b', 'contains', 'a+b'],
    ['a|b', '$regex', 'a|b'],
    ['^a$', '$regex', '^a$'],
    ['a\\$', 'contains', 'a$'],
  ])('%s reads as %s', (pattern, operator, value) => {
    const shown = shownOf({ operator: '$regex', value: pattern });
    expect(shown).toEqual({ operator, value });
    expect(testOf(shown)).toEqual({ operator: '$regex', value: pattern });
  });
});

describe('a typed value', () => {
  it('has the type that was chosen', () => {
    expect(valueOfText('30', 'number')).toBe(30);
    expect(valueOfText('1,5', 'number')).toBe(1.5);
    expect(valueOfText('30', 'string')).toBe('30');
    expect(valueOfText('x', 'number')).toBe('x');
    expect(valueOfText('', 'number')).toBe('');
  });

  it('is offered the type that most users have', () => {
    expect(usualType({ string: 2, number: 9 })).toBe('number');
    expect(usualType({ bool: 3 })).toBe('boolean');
    expect(usualType(undefined)).toBe('string');
  });

  it('is carried to another operator where it fits', () => {
    expect(carriedValue('NL', '$in')).toEqual(['NL']);
    expect(carriedValue(['NL', 'BE'], '$eq')).toBe('NL');
    expect(carriedValue(3, 'contains')).toBe('3');
    expect(carriedValue('', '$in')).toEqual([]);
  });
});
