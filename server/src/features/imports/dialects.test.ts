import { parse } from 'csv-parse/sync';
import { describe, expect, it } from 'vitest';
import { CsvReader, type Separator } from './csv.ts';
import { declaredSeparator, separatorOf } from './dialect.ts';
import { FileReader, type Format } from './file-reader.ts';
import { LineReader } from './lines.ts';
import { memberRows } from './member-rows.ts';
import { userRows } from './user-rows.ts';

interface Options {
  readonly format?: Format;
  readonly columns?: 'ignore';
  /** csv-parse reads it otherwise, or not at all. */
  readonly unjudged?: true;
}

interface Outcome {
  /** The cells of each row, with a dash where there is none. */
  readonly rows: readonly string[];
  readonly errors: readonly string[];
  readonly warnings: readonly string[];
}

function outcomeOf(
  bytes: Buffer,
  kind: 'members' | 'users',
  { format = 'csv', columns }: Options,
  size: number,
): Outcome {
  const options = { ignoreUnknown: columns === 'ignore' };
  const file = new FileReader(format, kind === 'members' ? memberRows(options) : userRows(options));
  let out = '';
  for (let at = 0; at < bytes.length; at += size) out += file.push(bytes.subarray(at, at + size));
  out += file.end();
  const shown = (error: { line: number | null; message: string }) => `${error.line}: ${error.message}`;
  return {
    rows:
      file.errors.length > 0
        ? []
        : out
            .split('\n')
            .slice(0, -1)
            .map((row) => row.replaceAll('\\N', '-').replaceAll('\t', ' | ')),
    errors: file.errors.map(shown),
    warnings: file.warnings.map(shown),
  };
}

/** The records of a file without faults, as we take it apart. */
function recordsOf(bytes: Buffer, format: Format): string[][] {
  const records: string[][] = [];
  const visitor = {
    record: (cells: readonly string[]) => void records.push([...cells]),
    fault: (line: number, message: string) => {
      throw new Error(`${line}: ${message}`);
    },
  };
  const lines = new LineReader();
  const csv = new CsvReader(visitor, { declaredSeparator, separatorOf }, format === 'tsv' ? '\t' : undefined);
  for (const block of [lines.push(bytes), lines.end()]) if (block) csv.read(block);
  csv.end();
  return records;
}

/** The same by csv-parse, which has to be told the separator. */
function judgedBy(text: string, separator: Separator): string[][] {
  const records: string[][] = parse(text, {
    bom: true,
    delimiter: separator,
    trim: true,
    relax_column_count: true,
    skip_empty_lines: true,
    record_delimiter: ['\n', '\r\n'],
  });
  return records.filter((record) => record.some((cell) => cell !== ''));
}

type Case = [what: string, file: string, rows: readonly string[], options?: Options];

function expectOutcome(kind: 'members' | 'users', [, file, rows, options = {}]: Case): void {
  const bytes = Buffer.from(file);
  const expected = { rows, errors: [], warnings: [] };
  for (const size of [1, 3, 4_096]) expect(outcomeOf(bytes, kind, options, size)).toEqual(expected);
  const { format = 'csv', unjudged } = options;
  if (format === 'ndjson' || unjudged) return;
  const header = file.replace(/^\ufeff/, '').split('\n', 1)[0] ?? '';
  expect(recordsOf(bytes, format)).toEqual(judgedBy(file, format === 'tsv' ? '\t' : separatorOf(header)));
}

const time = '2099-01-31T00:00:00.000Z';

describe('members, as spreadsheets and scripts of all kinds write them', () => {
  const cases: Case[] = [];
  // What a spreadsheet does to an exported file that it opens and saves.
  for (const separator of [',', ';', '\t'] as const) {
    for (const [ending, newline] of [
      ['LF', '\n'],
      ['CRLF', '\r\n'],
    ] as const) {
      for (const bom of ['', '\ufeff']) {
        for (const isQuoted of [false, true]) {
          for (const trailing of [0, 1, 3]) {
            const row = (cells: string[]) =>
              cells.map((cell) => (isQuoted ? `"${cell}"` : cell)).join(separator) + separator.repeat(trailing);
            const rows = [
              ['user_id', 'external_id', 'expires_at'],
              ['1', 'ann', time],
              ['2', '', ''],
            ];
            cases.push([
              `${JSON.stringify(separator)}, ${ending}${bom && ', BOM'}${isQuoted ? ', all quoted' : ''}, ${trailing} separators after each row`,
              bom + rows.map(row).join(newline) + newline,
              [`2 | - | ann | ${time}`, '3 | 2 | - | -'],
            ]);
          }
        }
      }
    }
  }
  it.each<Case>(cases)('%s', (...one) => expectOutcome('members', one));
});

describe('members', () => {
  it.each<Case>([
    ['a column alone', 'external_id\nann\nbob\n', ['2 | - | ann | -', '3 | - | bob | -']],
    ['our ids alone', 'user_id\n1\n', ['2 | 1 | - | -']],
    ['no line break at the end', 'external_id\nann', ['2 | - | ann | -']],
    ['a header alone', 'external_id\n', []],
    ['a header alone, with empty rows below', 'external_id;expires_at\n;\n;;\n', []],
    ['blank lines before the header', '\n  \n\nexternal_id\nann\n', ['5 | - | ann | -']],
    ['rows of separators before the header', ';;\nexternal_id;expires_at\nann\n', ['3 | - | ann | -']],
    ['blank lines between', 'external_id\n\nann\n\n\nbob\n\n', ['3 | - | ann | -', '6 | - | bob | -']],
    ['rows of separators below', 'external_id,expires_at\nann,\n,\n,,,\n', ['2 | - | ann | -']],
    ['rows of blanks below', 'external_id,expires_at\nann,\n , \n\t\n', ['2 | - | ann | -'], { unjudged: true }],
    ['rows of empty quotes below', 'external_id,expires_at\nann,\n"",""\n""\n', ['2 | - | ann | -']],
    ['sep=;', 'sep=;\nexternal_id;expires_at\nann;\n', ['3 | - | ann | -'], { unjudged: true }],
    [
      'sep=, with a BOM and CRLF',
      '\ufeffsep=,\r\nexternal_id,expires_at\r\nann,\r\n',
      ['3 | - | ann | -'],
      { unjudged: true },
    ],
    [
      '"sep=;" in quotes, with blanks',
      '"sep=;" \nexternal_id;expires_at\nann;\n',
      ['3 | - | ann | -'],
      { unjudged: true },
    ],
    ['SEP=; saved again', 'SEP=;;;\nexternal_id;expires_at\nann;\n', ['3 | - | ann | -'], { unjudged: true }],
    ['sep=tab', 'sep=\t\nexternal_id\texpires_at\nann\t\n', ['3 | - | ann | -'], { unjudged: true }],
    ['sep= over what the header would say', 'sep=,\nexternal_id\na;b\n', ['3 | - | a;b | -'], { unjudged: true }],
    ['semicolons in ids of a file with commas', 'external_id,expires_at\na;b,\n', ['2 | - | a;b | -']],
    ['commas in ids of a file with semicolons', 'external_id;expires_at\na,b;\n', ['2 | - | a,b | -']],
    ['commas in ids of a file with tabs', 'external_id\texpires_at\na,b;c\t\n', ['2 | - | a,b;c | -']],
    ['semicolons in ids of a file of one column', 'external_id\na;b\n', ['2 | - | a;b | -']],
    ['header names in any case', 'External_ID,USER_ID,Expires_At\nann,1,\n', ['2 | - | ann | -']],
    ['header names between blanks', ' external_id ;\texpires_at \nann;\n', ['2 | - | ann | -']],
    [
      'header names between no-break blanks',
      '\u00a0external_id\u00a0,\u2003expires_at\nann,\n',
      ['2 | - | ann | -'],
      { unjudged: true },
    ],
    ['header names in quotes', '"external_id";"expires_at"\nann;\n', ['2 | - | ann | -']],
    ['columns in any order', `expires_at,external_id\n${time},ann\n`, [`2 | - | ann | ${time}`]],
    ['empty columns after the last', 'external_id,,\nann,,\nbob\n', ['2 | - | ann | -', '3 | - | bob | -']],
    [
      'rows that end early',
      `user_id;external_id;expires_at\n;ann\n1\n;bob;${time}\n`,
      ['2 | - | ann | -', '3 | 1 | - | -', `4 | - | bob | ${time}`],
    ],
    ['blanks around cells', 'external_id , expires_at\n  ann  ,  \n\tbob\t,\n', ['2 | - | ann | -', '3 | - | bob | -']],
    [
      'no-break blanks around cells',
      'external_id\n\u00a0ann\u00a0\n\u202fbob\u3000\n',
      ['2 | - | ann | -', '3 | - | bob | -'],
      { unjudged: true },
    ],
    [
      'zero-width characters around cells',
      'external_id\n\u200bann\u200b\n\ufeffbob\u2060\n\u200ccy\u200d\n',
      ['2 | - | ann | -', '3 | - | bob | -', '4 | - | cy | -'],
      { unjudged: true },
    ],
    [
      'blanks within cells',
      'external_id\nann lee\nann\u00a0lee\n',
      ['2 | - | ann lee | -', '3 | - | ann\u00a0lee | -'],
    ],
    [
      'blanks around quotes',
      'external_id, expires_at\n "ann" , ""\n\t"bob"\t,\n',
      ['2 | - | ann | -', '3 | - | bob | -'],
    ],
    ['separators in quotes', 'external_id;expires_at\n"a;b";""\n', ['2 | - | a;b | -']],
    ['quotes in quotes', 'external_id\n"say ""hi"""\n', ['2 | - | say "hi" | -']],
    ['an empty quoted cell', 'user_id,external_id\n1,""\n', ['2 | 1 | - | -']],
    ['both ids: the external one decides', 'user_id,external_id\n1,ann\n', ['2 | - | ann | -']],
    ['times of other forms', 'external_id,expires_at\nann,2099-01-31T02:00:00+02:00\n', [`2 | - | ann | ${time}`]],
    ['times in quotes, between blanks', `external_id;expires_at\nann; "${time}" \n`, [`2 | - | ann | ${time}`]],
    ['backslashes', 'external_id\na\\b\\n\n', ['2 | - | a\\\\b\\\\n | -']],
    ['an id that begins with =', 'external_id\n=1+1\n', ['2 | - | =1+1 | -']],
    [
      'letters of all kinds',
      'external_id\nÄnne\n名前\n🙂\n',
      ['2 | - | Änne | -', '3 | - | 名前 | -', '4 | - | 🙂 | -'],
    ],
    ['old Mac line breaks in no place but the end', 'external_id\nann\r', ['2 | - | ann | -']],
    ['columns=ignore', 'email,external_id,phone\na@b.c,ann,"1,2"\n', ['2 | - | ann | -'], { columns: 'ignore' }],
    [
      'columns=ignore, names twice and none',
      'x;x;;external_id\n1;2;3;ann\n',
      ['2 | - | ann | -'],
      { columns: 'ignore' },
    ],
    [
      'columns=ignore, columns at the end without a name',
      'external_id,x,,\nann,1,2,3\n',
      ['2 | - | ann | -'],
      { columns: 'ignore' },
    ],
    ['columns=ignore, nothing to ignore', 'external_id\nann\n', ['2 | - | ann | -'], { columns: 'ignore' }],
    [
      'columns=ignore, header of a semicolon file with commas in names',
      'name, first;external_id;a,b,c,d\nx;ann;y\n',
      ['2 | - | ann | -'],
      { columns: 'ignore' },
    ],
    ['TSV', 'external_id\texpires_at\nann\t\n', ['2 | - | ann | -'], { format: 'tsv' }],
    ['TSV of one column with semicolons', 'external_id\na;b,c\n', ['2 | - | a;b,c | -'], { format: 'tsv' }],
    ['NDJSON', '{"external_id":"ann"}\n{"user_id":2}\n', ['1 | - | ann | -', '2 | 2 | - | -'], { format: 'ndjson' }],
    [
      'NDJSON with a BOM, CRLF and blank lines',
      '\ufeff{"user_id":1}\r\n\r\n \n{"user_id":2}',
      ['1 | 1 | - | -', '4 | 2 | - | -'],
      { format: 'ndjson' },
    ],
    [
      'NDJSON with nulls',
      '{"user_id":1,"external_id":null,"expires_at":null}\n',
      ['1 | 1 | - | -'],
      { format: 'ndjson' },
    ],
    [
      'NDJSON with a time',
      `{"external_id":"a:b","expires_at":"${time}"}\n`,
      [`1 | - | a:b | ${time}`],
      { format: 'ndjson' },
    ],
    [
      'NDJSON with blanks before colons',
      '{"external_id" : "ann" , "user_id"\t:\t1}\n',
      ['1 | - | ann | -'],
      { format: 'ndjson' },
    ],
    [
      'NDJSON with an id that looks like JSON',
      '{"external_id":"{\\"a\\":1,\\"a\\":2}"}\n',
      ['1 | - | {"a":1,"a":2} | -'],
      { format: 'ndjson' },
    ],
    ['NDJSON without a line', '\n \n', [], { format: 'ndjson' }],
    [
      'NDJSON, columns=ignore',
      '{"external_id":"ann","email":"a@b.c","deep":{"a":[1]}}\n',
      ['1 | - | ann | -'],
      { format: 'ndjson', columns: 'ignore' },
    ],
  ])('%s', (...one) => expectOutcome('members', one));
});

describe('users', () => {
  it.each<Case>([
    ['attributes are text', 'external_id,plan,age\nann,pro,42\n', ['2 | ann | f | - | {"plan":"pro","age":"42"}']],
    [
      'with types',
      'external_id;age:number;vip:boolean;tags:json;plan:string\nann;42;TRUE;"[""a"",1]";pro\n',
      ['2 | ann | f | - | {"age":42,"vip":true,"tags":["a",1],"plan":"pro"}'],
    ],
    ['types in any case, with blanks', 'external_id,age : Number\nann, -1.5e3 \n', ['2 | ann | f | - | {"age":-1500}']],
    [
      'booleans',
      'external_id,a:boolean,b:boolean,c:boolean,d:boolean\nann,true,False,1,0\n',
      ['2 | ann | f | - | {"a":true,"b":false,"c":true,"d":false}'],
    ],
    [
      'empty cells leave attributes alone',
      'external_id,age:number,plan\nann,,\nbob,,pro\n',
      ['2 | ann | f | - | {}', '3 | bob | f | - | {"plan":"pro"}'],
    ],
    [
      'rows that end early',
      'external_id,name,plan\nann\nbob,Bob\n',
      ['2 | ann | f | - | {}', '3 | bob | t | Bob | {}'],
    ],
    [
      'names of attributes keep their case',
      'EXTERNAL_ID,Name,Plan\nann,Ann,pro\n',
      ['2 | ann | t | Ann | {"Plan":"pro"}'],
    ],
    [
      'attributes that differ in case',
      'external_id,plan,Plan\nann,a,b\n',
      ['2 | ann | f | - | {"plan":"a","Plan":"b"}'],
    ],
    [
      'json of all kinds',
      'external_id,x:json\na,null\nb,"{""k"":1}"\nc,"""t"""\nd,1.5\ne,false\n',
      [
        '2 | a | f | - | {"x":null}',
        '3 | b | f | - | {"x":{"k":1}}',
        '4 | c | f | - | {"x":"t"}',
        '5 | d | f | - | {"x":1.5}',
        '6 | e | f | - | {"x":false}',
      ],
    ],
    ['a colon in a name', 'external_id,utm:source:string\nann,x\n', ['2 | ann | f | - | {"utm:source":"x"}']],
    [
      'columns=ignore',
      'external_id,,a.b,$c,utm:source,plan,\nann,1,2,3,4,pro,5\n',
      ['2 | ann | f | - | {"plan":"pro"}'],
      { columns: 'ignore' },
    ],
    [
      'columns named as fields of objects',
      'external_id,toString,constructor\nann,a,b\n',
      ['2 | ann | f | - | {"toString":"a","constructor":"b"}'],
    ],
    [
      'large integers that a double holds',
      'external_id,n:number\nann,9007199254740992\n',
      ['2 | ann | f | - | {"n":9007199254740992}'],
    ],
    [
      'NDJSON',
      '{"external_id":"ann","name":null,"attributes":{"a":{"b":[1,null]}}}\n',
      ['1 | ann | t | - | {"a":{"b":[1,null]}}'],
      { format: 'ndjson' },
    ],
    [
      'NDJSON with the same name in several objects',
      '{"external_id":"ann","attributes":{"name":{"name":1},"l":[{"a":1},{"a":2}]}}\n',
      ['1 | ann | f | - | {"name":{"name":1},"l":[{"a":1},{"a":2}]}'],
      { format: 'ndjson' },
    ],
    [
      'NDJSON, columns=ignore',
      '{"external_id":"ann","email":"x","attributes":{}}\n',
      ['1 | ann | f | - | {}'],
      { format: 'ndjson', columns: 'ignore' },
    ],
  ])('%s', (...one) => expectOutcome('users', one));
});

describe('what is refused, with its line', () => {
  const refused = (kind: 'members' | 'users', file: string, errors: string[], options: Options = {}) => {
    for (const size of [1, 4_096]) {
      const { errors: found } = outcomeOf(Buffer.from(file), kind, options, size);
      expect(found).toEqual(errors.map((error) => expect.stringContaining(error)));
    }
  };
  it.each<[what: string, file: string, errors: string[], options?: Options]>([
    [
      'an unknown column',
      'external_id;email\nann;x\n',
      ['1: the first line must name the columns, among user_id, external_id, expires_at; "email" is none'],
    ],
    ['no column with ids', 'expires_at\n\n', ['1: the first line must name a column user_id or external_id']],
    [
      'no column with ids, columns=ignore',
      'email;phone\nx;y\n',
      ['1: the first line must name a column user_id or external_id'],
      { columns: 'ignore' },
    ],
    ['a column twice', 'external_id;External_ID\n', ['1: names the column "external_id" twice']],
    [
      'a column twice, columns=ignore',
      'external_id;x;external_id\n',
      ['1: names the column "external_id" twice'],
      { columns: 'ignore' },
    ],
    ['a column without a name', 'external_id;;expires_at\n', ['1: has a column without a name']],
    ['nothing', '', ['1: the file is empty']],
    ['nothing but sep=', 'sep=;\n', ['1: the file is empty']],
    ['cells beyond the header', 'external_id;expires_at\nann;;x\n', ['2: has 3 cells, the header has 2']],
    [
      'cells beyond the header, columns=ignore',
      'external_id;x\nann;1;2\n',
      ['2: has 3 cells, the header has 2'],
      { columns: 'ignore' },
    ],
    [
      'another separator than the header',
      'external_id;expires_at\nann,2099-01-31T00:00:00Z\nbob;soon\n',
      ['3: expires_at "soon" is not'],
    ],
    ['a row without an id', 'user_id;expires_at\n;2099-01-31T00:00:00Z\n', ['2: names no user']],
    [
      'text after a quote',
      'external_id;expires_at\n"ann"x;\nbob;\n"cy" y\n',
      ['2: has text after a closing quote', '4: has text after a closing quote'],
    ],
    [
      'NDJSON with a name twice',
      '{"user_id":1,"user_id":2}\n{"user_id":1}\n{"user_id" :1,"user_id" :1}\n',
      ['1: has the name "user_id" twice', '3: has the name "user_id" twice'],
      { format: 'ndjson' },
    ],
    [
      'NDJSON with an escaped name twice',
      '{"user_id":1,"\\u0075ser_id":2}\n',
      ['1: has the name "user_id" twice'],
      { format: 'ndjson' },
    ],
    [
      'NDJSON with a name twice, columns=ignore',
      '{"user_id":1,"x":[{"a":1,"b":"}","a":2}]}\n',
      ['1: has the name "a" twice'],
      { format: 'ndjson', columns: 'ignore' },
    ],
    [
      'NDJSON with an unknown field',
      '{"user_id":1,"email":"x"}\n',
      ['1: "email" is not a known field'],
      { format: 'ndjson' },
    ],
  ])('%s', (_, file, errors, options) => refused('members', file, errors, options));

  it.each<[what: string, file: string, errors: string[], options?: Options]>([
    [
      'an unknown type',
      'external_id,age:nubmer\n',
      ['1: column "age:nubmer" names an unknown type; the types are string, number, boolean, json'],
    ],
    [
      'no number',
      'external_id,age:number\na,1\nb,"1,5"\nc,0x10\nd,01\ne,1e999\nf,NaN\n',
      ['3: age "1,5" is not a number', '4: age "0x10"', '5: age "01"', '6: age "1e999" is beyond', '7: age "NaN"'],
    ],
    [
      'an integer that a double rounds',
      'external_id,n:number\na,9007199254740993\n',
      ['2: n "9007199254740993" is an integer that a double cannot hold exactly'],
    ],
    ['no boolean', 'external_id,vip:boolean\na,yes\n', ['2: vip "yes" is neither true nor false']],
    [
      'no JSON',
      'external_id;x:json\na;{a:1}\nb;"{""a"":1,""a"":2}"\nc;[9007199254740993]\n',
      ['2: x "{a:1}" is not JSON', '3: x has the name "a" twice', '4: x must not hold the integer'],
    ],
    ['names no condition could ask for', 'external_id,a.b\n', ['1: column "a.b" must not have a dot']],
    ['$ at the beginning of a name', 'external_id,$in\n', ['1: column "$in" must not have the name']],
    ['__proto__', 'external_id,__proto__\n', ['1: column "__proto__" must not have a key __proto__']],
    ['a column without a name', 'external_id,,plan\n', ['1: has a column without a name']],
    ['an attribute twice, with types', 'external_id,age:number,age:string\n', ['1: names the attribute "age" twice']],
    [
      'NDJSON with odd names',
      '{"external_id":"a","attributes":{"x":{"":1}}}\n{"external_id":"a","attributes":{"a.b":1}}\n{"external_id":"a","attributes":{"$x":1}}\n',
      [
        '1: attributes must not have an empty name',
        '2: attributes must not have a dot',
        '3: attributes must not have the name "$x"',
      ],
      { format: 'ndjson' },
    ],
    [
      'NDJSON with an integer that a double rounds',
      '{"external_id":"12345678901234567890","attributes":{"a":"9007199254740993","n":[-9007199254740993]}}\n',
      ['1: attributes must not hold the integer "-9007199254740993"'],
      { format: 'ndjson' },
    ],
    [
      'NDJSON nested too deeply',
      `{"external_id":"a","attributes":{"x":${'['.repeat(65)}${']'.repeat(65)}}}\n`,
      ['1: attributes must not nest deeper than 64'],
      { format: 'ndjson' },
    ],
  ])('%s', (_, file, errors, options) => refused('users', file, errors, options));
});

it.each([
  ['#N/A', 'an error of a spreadsheet'],
  ['#REF!', 'an error of a spreadsheet'],
  ['#name?', 'an error of a spreadsheet'],
  ['NULL', 'no value'],
  ['undefined', 'no value'],
  ['External_Id', 'the header again'],
  ['1.23E+16', 'a spreadsheet made a number of it'],
  ['1,23E+16', 'a spreadsheet made a number of it'],
  [' ann ', 'begins or ends with a blank'],
])('an external id %j is taken with a warning', (id, why) => {
  const expected = { errors: [], warnings: [expect.stringMatching(/^3: external_id /)] };
  for (const kind of ['members', 'users'] as const) {
    const file = `external_id\nann\n"${id}"\nbob\n`;
    const found = outcomeOf(Buffer.from(file), kind, {}, 4_096);
    expect(found).toMatchObject(expected);
    expect(found.warnings[0]).toContain(why);
    expect(found.rows).toHaveLength(3);
  }
  const line = `{"external_id":"ann"}\n\n{"external_id":${JSON.stringify(id)}}\n`;
  expect(outcomeOf(Buffer.from(line), 'members', { format: 'ndjson' }, 4_096)).toMatchObject(expected);
});

it.each(['1E5x', 'E+5', 'null-1', 'n/a/b', '#1', 'nullable', '5551234E'])('an external id %j is no accident', (id) => {
  expect(outcomeOf(Buffer.from(`external_id\n${id}\n`), 'members', {}, 4_096).warnings).toEqual([]);
});
