import fc from 'fast-check';
import { RE2JS } from 're2js';
import { describe, expect, test } from 'vitest';
import { processorMs } from '../../../test/processor.ts';
import { compilePattern, type Pattern } from './regex.ts';

function compiled(source: string, ignoreCase = false): Pattern {
  const pattern = compilePattern(source, ignoreCase);
  if (typeof pattern === 'string') throw new Error(pattern);
  return pattern;
}

describe('matches as RE2', () => {
  test.each<[string, string, boolean]>([
    ['b', 'abc', true],
    ['^b', 'abc', false],
    ['^ab', 'abc', true],
    ['bc$', 'abc', true],
    ['^abc$', 'abcd', false],
    ['abc$', 'abc\n', false],
    ['', 'abc', true],
    ['^', '', true],
    ['^$', '', true],
    ['^$', 'a', false],
    ['a.c', 'a\nc', false],
    ['(?s)a.c', 'a\nc', true],
    ['^.$', '😀', true],
    ['\\p{Greek}', 'λ', true],
    ['\\d', '٣', false],
    ['^[a-z]+@example\\.(com|org)$', 'x@example.org', true],
  ])('%j on %j: %s', (source, text, expected) => {
    expect(compiled(source).matches(text)).toBe(expected);
  });

  test('and without regard to case where asked', () => {
    expect(compiled('STRASSE', true).matches('strasse')).toBe(true);
    expect(compiled('Ä', true).matches('ä')).toBe(true);
  });
});

describe('knows plain text', () => {
  test.each([
    ['abc', { text: 'abc', anchor: 'none' }],
    ['^abc', { text: 'abc', anchor: 'start' }],
    ['abc$', { text: 'abc', anchor: 'end' }],
    ['^abc$', { text: 'abc', anchor: 'both' }],
    ['^user-😀/"', { text: 'user-😀/"', anchor: 'start' }],
  ])('%s', (source, literal) => {
    expect(compiled(source).literal).toEqual(literal);
  });

  test.each(['a.c', 'a\\.c', '[a]', '(a)', 'a|b', 'a*', 'a{2}', 'a^', '$a', '^^a', '(?i)a'])('%s is not', (source) => {
    expect(compiled(source).literal).toBeUndefined();
  });

  test('and answers as the engine', () => {
    const unit = fc.constantFrom('a', 'b', '^', '$', '-', '/', '\n', ' ', '😀', 'ü', '\ue000');
    const text = fc.array(unit, { maxLength: 5 }).map((units) => units.join(''));
    fc.assert(
      fc.property(text, text, (source, candidate) => {
        const pattern = compiled(source);
        expect(pattern.matches(candidate)).toBe(RE2JS.compile(source).test(candidate));
      }),
      { numRuns: 2_000 },
    );
  });
});

test('takes linear time', () => {
  const started = processorMs();
  for (const source of ['(a+)+$', '(a|a)*b', '(a|aa)+c', '(.*a){20}b', '(x+x+)+y']) {
    compiled(source).matches(`${'a'.repeat(16_000)}!`);
    compiled(source, true).matches(`${'x'.repeat(16_000)}!`);
  }
  expect(processorMs() - started).toBeLessThan(3_000);
});
