import { expect, it } from 'vitest';
import { csvOf, pastedIds } from './pasted.ts';

it('reads ids as people paste them', () => {
  expect(pastedIds(' a\r\nb, c;d\te\n\na ')).toEqual(['a', 'b', 'c', 'd', 'e']);
  expect(pastedIds('')).toEqual([]);
});

it('writes them as a file for the import', () => {
  expect(csvOf(['a', 'say "x"'], 'theirs')).toBe('external_id\n"a"\n"say ""x"""\n');
  expect(csvOf(['2'], 'ours')).toBe('user_id\n"2"\n');
});
