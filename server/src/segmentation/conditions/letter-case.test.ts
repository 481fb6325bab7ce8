import { expect, test } from 'vitest';
import { caseVariantsOf, foldCase } from './letter-case.ts';

function* characters(): Generator<string> {
  for (let code = 1; code < 0x20000; code++) {
    if (code < 0xd800 || code > 0xdfff) yield String.fromCodePoint(code);
  }
}

test('folds character by character, and what is folded stays', () => {
  const wrong = [...characters()].filter((one) => {
    const folded = foldCase(one);
    return [...folded].length !== 1 || foldCase(folded) !== folded;
  });
  expect(wrong).toEqual([]);
});

test('finds the same two characters equal as a pattern without regard to case', () => {
  const changed = [...characters()].filter((one) => foldCase(one) !== one);
  expect(changed.length).toBeGreaterThan(1_000);
  expect(changed.filter((one) => !new RegExp(`^[${foldCase(one)}]$`, 'iu').test(one))).toEqual([]);
});

test('knows every variant', () => {
  expect(caseVariantsOf('k').toSorted()).toEqual(['K', '\u212a']);
  expect(caseVariantsOf('σ').toSorted()).toEqual(['Σ', 'ς']);
  expect(caseVariantsOf('1')).toEqual([]);
  const missing = [...characters()].filter((one) => {
    const folded = foldCase(one);
    return folded !== one && !caseVariantsOf(folded).includes(one);
  });
  expect(missing).toEqual([]);
});
