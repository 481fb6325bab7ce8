import { createDatabase, type TestDatabase } from '@kohort/testkit/database.ts';
import fc from 'fast-check';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { compilePattern, type Pattern } from '../regex.ts';
import { toPostgres } from './pattern.ts';

let database: TestDatabase;
let client: pg.Client;
beforeAll(async () => {
  database = await createDatabase({ migrated: false });
  client = new pg.Client({ connectionString: database.url });
  await client.connect();
});
afterAll(async () => {
  await client.end();
  await database.drop();
});

function compiled(source: string, ignoreCase = false): Pattern {
  const pattern = compilePattern(source, ignoreCase);
  if (typeof pattern === 'string') throw new Error(pattern);
  return pattern;
}

async function inPostgres(pattern: string, texts: readonly string[]): Promise<boolean[]> {
  const { rows } = await client.query<{ found: boolean[] }>(
    `SELECT array_agg(value COLLATE "C" ~ $1 ORDER BY place) AS found
     FROM unnest($2::text[]) WITH ORDINALITY AS t (value, place)`,
    [pattern, texts],
  );
  return rows[0]?.found ?? [];
}

const atoms = [
  ...[
    'a',
    'b',
    'k',
    's',
    'A',
    'ü',
    '😀',
    '-',
    ' ',
    '\n',
    '.',
    '\\.',
    '\\\\',
    '\\d',
    '\\D',
    '\\w',
    '\\W',
    '\\s',
    '\\S',
    '\\n',
  ],
  ...[
    '[ab]',
    '[^a]',
    '[a-c]',
    '[A-Kx]',
    '[^\\d]',
    '[\\w.-]',
    '[\\s_]',
    '[ü-ý]',
    '[+\\-]',
    '[\\]^]',
    '[a^]',
    '[&-+]',
    '[a-]',
  ],
];
const quantifiers = ['', '', '', '*', '+', '?', '*?', '+?', '{2}', '{1,2}', '{0,1}', '{2,}'];
const pattern = fc.letrec<{ all: string; branch: string; piece: string }>((tie) => ({
  all: fc.array(tie('branch'), { minLength: 1, maxLength: 3 }).map((branches) => branches.join('|')),
  branch: fc
    .tuple(
      fc.constantFrom('', '', '^'),
      fc.array(tie('piece'), { minLength: 1, maxLength: 3 }),
      fc.constantFrom('', '', '$'),
    )
    .map(([start, pieces, end]) => start + pieces.join('') + end),
  piece: fc.oneof(
    { maxDepth: 2 },
    fc.tuple(fc.constantFrom(...atoms), fc.constantFrom(...quantifiers)).map((parts) => parts.join('')),
    fc
      .tuple(fc.constantFrom('(', '(?:'), tie('all'), fc.constantFrom(...quantifiers))
      .map(([open, inner, quantifier]) => `${open}${inner})${quantifier}`),
  ),
})).all;
const characters = [
  ...[
    'a',
    'b',
    'c',
    'k',
    'K',
    '\u212a',
    's',
    'S',
    'ſ',
    'A',
    'ü',
    'Ü',
    '😀',
    '-',
    ' ',
    '\n',
    '\t',
    '\v',
    '.',
    '\\',
    '0',
    '٣',
    '_',
    ']',
    '^',
    '+',
    'é',
  ],
];
const texts = fc.array(
  fc.array(fc.constantFrom(...characters), { maxLength: 6 }).map((found) => found.join('')),
  { minLength: 40, maxLength: 40 },
);

test('PostgreSQL finds what the linear engine finds', async ({ annotate }) => {
  let compared = 0;
  await fc.assert(
    fc.asyncProperty(pattern, fc.boolean(), texts, async (source, ignoreCase, candidates) => {
      const one = compilePattern(source, ignoreCase);
      const translated = typeof one === 'string' ? undefined : toPostgres(one);
      if (typeof one === 'string' || translated === undefined) return;
      compared += 1;
      expect([source, translated, await inPostgres(translated, candidates)]).toEqual([
        source,
        translated,
        candidates.map((text) => one.matches(text)),
      ]);
    }),
    { numRuns: 5_000 },
  );
  await annotate(`${compared} patterns compared`);
  expect(compared).toBeGreaterThan(500);
});

describe('goes to SQL', () => {
  test.each([
    ['^[a-z]+@example\\.(com|org)$', false],
    ['foo', true],
    ['^user-[0-9]{4}$', false],
    ['[^ ]+ing( |$)', false],
    ['(?:^a|b)*c', false],
  ])('%s', (source, ignoreCase) => {
    expect(toPostgres(compiled(source, ignoreCase))).toEqual(expect.any(String));
  });
});

describe('is left to the stream', () => {
  test.each<[string, boolean]>([
    ['\\bword', false],
    ['(?i)a', false],
    ['(?s)a.b', false],
    ['\\p{Greek}', false],
    ['[[:alpha:]]', false],
    ['(a*)*', false],
    ['(^)*a', false],
    ['a||b', false],
    ['Ä', true],
    ['\\w', true],
    ['[ä-ü]', true],
    ['a{300}', false],
    ['[ab]{100}', false],
  ])('%s', (source, ignoreCase) => {
    const one = compilePattern(source, ignoreCase);
    expect(typeof one === 'string' ? undefined : toPostgres(one)).toBeUndefined();
  });
});
