import { parse } from 'csv-parse/sync';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CsvReader, type Separator } from './csv.ts';
import { declaredSeparator, separatorOf } from './dialect.ts';
import { LineReader, Unreadable } from './lines.ts';

interface Read {
  readonly records: readonly (readonly string[])[];
  readonly lines: readonly number[];
  readonly faults: readonly string[];
}

/** Reads bytes that come in pieces of `size`. */
function read(bytes: Buffer | string, size = 7, separator: Separator = ','): Read {
  const all = Buffer.from(bytes as string);
  const found = { records: [] as (readonly string[])[], lines: [] as number[], faults: [] as string[] };
  const lines = new LineReader();
  const visitor = {
    record: (cells: readonly string[], line: number) => {
      found.records.push([...cells]);
      found.lines.push(line);
    },
    fault: (line: number, message: string) => found.faults.push(`${line}: ${message}`),
  };
  const csv = new CsvReader(visitor, { declaredSeparator, separatorOf }, separator);
  try {
    for (let at = 0; at < all.length; at += size) {
      const block = lines.push(all.subarray(at, at + size));
      if (block) csv.read(block);
    }
    const rest = lines.end();
    if (rest) csv.read(rest);
    csv.end();
  } catch (error) {
    if (!(error instanceof Unreadable)) throw error;
    found.faults.push(`${error.line}: ${error.message}`);
  }
  return found;
}

const cell = fc.string({ unit: fc.constantFrom('a', 'ü', '"', ',', ';', '\t', '\n', '\r\n', ' ', '='), maxLength: 6 });
const asCell = (text: string, isQuoted: boolean) =>
  isQuoted || /[",;\t\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;

describe('CSV', () => {
  it('is read as another parser reads it, however it is cut', () => {
    fc.assert(
      fc.property(
        fc.array(fc.array(fc.tuple(cell, fc.boolean()), { minLength: 1, maxLength: 4 }), { maxLength: 8 }),
        fc.constantFrom('\n', '\r\n'),
        fc.constantFrom<Separator>(',', ';', '\t'),
        fc.boolean(),
        fc.integer({ min: 1, max: 30 }),
        (rows, newline, separator, isEnded, size) => {
          const text =
            rows.map((row) => row.map(([one, isQuoted]) => asCell(one, isQuoted)).join(separator)).join(newline) +
            (isEnded ? newline : '');
          const expected = parse(text, {
            delimiter: separator,
            trim: true,
            relax_column_count: true,
            skip_empty_lines: true,
            record_delimiter: ['\n', '\r\n'],
          });
          const { records, faults } = read(text, size, separator);
          expect(faults).toEqual([]);
          expect(records).toEqual(expected.filter((record) => record.some((one) => one !== '')));
        },
      ),
      { numRuns: 500 },
    );
  });

  it.each<[what: string, text: string | Buffer, records: string[][], lines: number[]]>([
    ['a BOM', '\ufeffid\n1', [['id'], ['1']], [1, 2]],
    ['CRLF', 'id\r\n1\r\n', [['id'], ['1']], [1, 2]],
    ['blank lines', 'id\n\n1\n\n', [['id'], ['1']], [1, 3]],
    [
      'line breaks in quotes',
      'a,b\n"x\ny\r\nz",2\n3,4\n',
      [
        ['a', 'b'],
        ['x\ny\r\nz', '2'],
        ['3', '4'],
      ],
      [1, 2, 5],
    ],
    ['quotes in quotes', 'a\n"""x"""\n', [['a'], ['"x"']], [1, 2]],
    [
      'empty cells',
      'a,b\n,\n"",\nx,\n',
      [
        ['a', 'b'],
        ['x', ''],
      ],
      [1, 4],
    ],
    ['a carriage return alone at the end', 'a\n"1"\r', [['a'], ['1']], [1, 2]],
    ['nothing', '', [], []],
  ])('takes %s', (_, text, records, lines) => {
    for (const size of [1, 2, 1000]) expect(read(text, size)).toEqual({ records, lines, faults: [] });
  });

  it('with long records, and faults after them, is the same however it is cut', () => {
    const long = (letter: string, lines: number) => `"${`${letter}\n`.repeat(lines)}"`;
    const text = `a,b\n${long('x', 9_000)},1\n2,3\n${long('y', 40_000)},4\na"b,5\n6,${long('z', 100)}\n"7"8,9\n10,11`;
    const whole = read(text, text.length);
    expect([whole.lines, whole.faults.length]).toEqual([[1, 2, 9_003, 9_004, 49_006, 49_108], 2]);
    for (const size of [50, 4_096, 65_536]) expect(read(text, size)).toEqual(whole);
  });

  it.each([',', '"",'])('takes a thousand cells (%j), and no more', (cell) => {
    expect(read(`x${cell.repeat(999)}\n`.replace('x""', 'x'))).toMatchObject({
      records: [['x', ...Array(999).fill('')]],
      faults: [],
    });
    expect(read(`${cell.repeat(1_000)}\n`)).toMatchObject({ records: [], faults: ['1: has more than 1000 cells'] });
  });

  it.each<[what: string, text: string | Buffer, fault: string]>([
    ['text after a quote', 'a\n"x"y\n', '2: has text after a closing quote'],
    ['a quote within a cell', 'a\nx"y\n', '2: has a quote within a cell that does not begin with one'],
    ['a quote that is never closed', 'a\n1\n"x\n2\n', '3: a quote is never closed'],
    ['a quote that is not closed for long', `a\n"${'x\n'.repeat(600_000)}`, '2: a quote is not closed within 1 MiB'],
    ['a line of 10 MB', `a\n1\n${'x'.repeat(10_000_000)}\n`, '3: is longer than 1 MiB'],
    ['a row of 1,001 cells', `a\n1\n${','.repeat(1_000)}\n2\n`, '3: has more than 1000 cells'],
    ['a row of 1,001 cells in quotes', `a\n1\n${'"",'.repeat(1_000)}\n2\n`, '3: has more than 1000 cells'],
    ['NUL', 'a\n1\n\0\n', '3: holds NUL: is the file UTF-16? Save it as UTF-8'],
    ['UTF-16 LE', Buffer.from('\ufeffa\n1\n', 'utf16le'), '1: the file is UTF-16: save it as UTF-8'],
    ['UTF-16 BE', Buffer.from('\ufeffa\n1\n', 'utf16le').swap16(), '1: the file is UTF-16: save it as UTF-8'],
    ['UTF-16 without a BOM', Buffer.from('a\n1\n', 'utf16le'), '1: holds NUL: is the file UTF-16? Save it as UTF-8'],
    ['Windows-1251', Buffer.from([97, 10, 0xcf, 0xf0, 0xe8, 10]), '2: is not valid UTF-8: save the file as UTF-8'],
  ])('names the line of %s', (_, text, fault) => {
    expect(read(text, 65_536).faults).toEqual([fault]);
  });
});
