import { describe, expect, it } from 'vitest';
import { findInexactInteger } from './inexact-integers.ts';

describe('an integer that a double cannot hold exactly', () => {
  it.each<[string, readonly (string | number)[]]>([
    ['12345678901234567', []],
    ['{"a":{"b":[1,"x",9007199254740993]}}', ['a', 'b', 2]],
    ['{"a":1,"b":-9007199254740993}', ['b']],
    ['{"a\\"b":"12345678901234567","c,d":{"e":[{},[],{"f":[0,[1,12345678901234567]]}]}}', ['c,d', 'e', 2, 'f', 1, 1]],
    ['{"\\u0061":12345678901234567}', ['a']],
    [`[${'9'.repeat(1_000)}]`, [0]],
  ])('is found in %s', (text, path) => {
    expect(findInexactInteger(text)).toEqual(path);
  });

  it.each([
    '9007199254740991',
    '9007199254740992',
    '1152921504606846976',
    '100000000000000000000',
    '"12345678901234567"',
    '{"12345678901234567":"\\\\"}',
    '1234567890123456.7',
    '12345678901234567e0',
    '0.12345678901234567',
    '[1e21,1.7976931348623157e308]',
  ])('is not in %s', (text) => {
    expect(findInexactInteger(text)).toBeUndefined();
  });
});
