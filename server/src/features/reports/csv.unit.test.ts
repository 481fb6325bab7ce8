import { describe, expect, it } from 'vitest';
import { csvLine } from './csv.ts';

describe('a line of CSV', () => {
  it.each([
    [['1', 'a'], '1,a\n'],
    [['', ''], ',\n'],
    [['a,b', 'say "hi"', 'two\nlines'], '"a,b","say ""hi""","two\nlines"\n'],
    [['a;=1+1', 'a\t=1+1'], '"a;=1+1","a\t=1+1"\n'],
    [[' a', 'a\u00a0', '\u200ba', 'a b'], '" a","a\u00a0","\u200ba",a b\n'],
  ])('of %j is %j', (cells, line) => {
    expect(csvLine(cells)).toBe(line);
  });

  it.each(['=1+1', '+1', '-1', '@SUM(A1)', '＝1+1', '＋1', '－1', '＠SUM(A1)'])(
    'defuses a cell that begins like %j',
    (cell) => {
      expect(csvLine([cell])).toBe(`'${cell}\n`);
    },
  );

  it('defuses before it quotes', () => {
    expect(csvLine(['\rx', '\tx', '=1,2'])).toBe('"\'\rx","\'\tx","\'=1,2"\n');
  });

  it('leaves the same characters alone further on', () => {
    expect(csvLine(['a=b', 'ext-1'])).toBe('a=b,ext-1\n');
  });
});
