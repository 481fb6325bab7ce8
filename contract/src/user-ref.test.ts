import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Problem } from './problem.ts';
import { externalIdFault, parseId, parseUserRef } from './user-ref.ts';

function refusal(text: string): unknown {
  try {
    return parseUserRef(text);
  } catch (error) {
    return error;
  }
}

describe('an id is decimal digits only, from 1 to 9007199254740991, no leading zero', () => {
  it.each([
    ['1', 1],
    ['2', 2],
    ['4294967296', 4_294_967_296],
    ['9007199254740991', 9_007_199_254_740_991],
  ])('takes %s', (text, id) => {
    expect(parseId(text)).toBe(id);
    expect(parseUserRef(text)).toEqual({ id });
  });

  it.each([
    '',
    '0',
    '-0',
    '-1',
    '+1',
    '01',
    '007',
    '1.0',
    '1.5',
    '1e3',
    '0x10',
    '0b1',
    '1_000',
    '1,000',
    ' 1',
    '1 ',
    '1\n',
    '9007199254740992',
    '9007199254740993',
    '9223372036854775807',
    '18446744073709551617',
    '99999999999999999999',
    'NaN',
    'Infinity',
    'null',
    'true',
    '١',
    '２',
    '2/3',
    'EXT:a',
    'Ext:a',
    'external:a',
    'ext',
    'me',
  ])('refuses %j', (text) => {
    expect(parseId(text)).toBeUndefined();
    const problem = refusal(text);
    expect(problem).toBeInstanceOf(Problem);
    expect(problem).toMatchObject({ status: 400, code: 'invalid', errors: [{ path: '/path/user' }] });
  });
});

describe('an external id is 1–255 bytes of any text without control characters', () => {
  it.each([
    'a',
    '4f2a@shop',
    'a/b',
    'a%2Fb',
    'ext:a',
    ' leading and trailing ',
    '2',
    'Ünïcödé 名前',
    '💩',
    '\u00a0',
    '\u200b',
    '\ufeff',
    '\u2028',
    'x'.repeat(255),
    'é'.repeat(127),
    '💩'.repeat(63),
  ])('takes %j', (externalId) => {
    expect(parseUserRef(`ext:${externalId}`)).toEqual({ externalId });
  });

  it.each([
    ['', 'must not be empty'],
    ['x'.repeat(256), 'must not be longer than 255 bytes'],
    ['é'.repeat(128), 'must not be longer than 255 bytes'],
    ['💩'.repeat(64), 'must not be longer than 255 bytes'],
    ['x'.repeat(100_000), 'must not be longer than 255 bytes'],
    ['a\u0000b', 'must not hold control characters'],
    ['a\u0001', 'must not hold control characters'],
    ['a\tb', 'must not hold control characters'],
    ['a\n', 'must not hold control characters'],
    ['\u001f', 'must not hold control characters'],
    ['\u007f', 'must not hold control characters'],
    ['\u0080', 'must not hold control characters'],
    ['\u0085', 'must not hold control characters'],
    ['\u009f', 'must not hold control characters'],
    ['\ud800', 'must be valid Unicode'],
    ['a\udc00b', 'must be valid Unicode'],
  ])('refuses %j', (externalId, fault) => {
    expect(externalIdFault(externalId)).toBe(fault);
    expect(refusal(`ext:${externalId}`)).toMatchObject({ status: 400, code: 'invalid' });
  });

  it('is what its bytes say, for any text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 300 }), (text) => {
        const good = Buffer.byteLength(text) >= 1 && Buffer.byteLength(text) <= 255 && !/\p{Cc}/u.test(text);
        expect(externalIdFault(text) === undefined).toBe(good);
      }),
    );
  });
});
