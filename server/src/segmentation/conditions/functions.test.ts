import { createDatabase, type TestDatabase } from '@kohort/testkit/database.ts';
import fc from 'fast-check';
import pg from 'pg';
import sql from 'sql-template-tag';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseInstant } from './instant.ts';
import { textVersionSql } from './sql/version.ts';
import { versionKey } from './version.ts';

let database: TestDatabase;
let client: pg.Client;
beforeAll(async () => {
  database = await createDatabase();
  client = new pg.Client({ connectionString: database.url });
  await client.connect();
});
afterAll(async () => {
  await client.end();
  await database.drop();
});

async function ofEach(expression: string, texts: readonly string[]): Promise<(string | null)[]> {
  const { rows } = await client.query<{ found: string | null }>(
    `SELECT (${expression})::text AS found FROM unnest($1::text[]) WITH ORDINALITY AS t (value, place) ORDER BY place`,
    [texts],
  );
  return rows.map(({ found }) => found);
}

/** Texts made of pieces that nearly make what is looked for. */
function nearly(...pieces: readonly string[]): fc.Arbitrary<string[]> {
  const text = fc.array(fc.constantFrom(...pieces), { maxLength: 12 }).map((found) => found.join(''));
  return fc.array(text, { minLength: 200, maxLength: 200 });
}

const digits = (count: number) =>
  fc.integer({ min: 0, max: 10 ** count - 1 }).map((n) => String(n).padStart(count, '0'));
const time = fc
  .tuple(
    digits(4),
    digits(2),
    digits(2),
    digits(2),
    digits(2),
    digits(2),
    fc.constantFrom('', '.1', '.12', '.1239', '.'),
    fc.constantFrom('Z', 'z', '', '+01:30', '-23:59', '+24:00', '-1:00'),
  )
  .map(
    ([year, month, day, hour, minute, second, fraction, zone]) =>
      `${year}-${month}-${day}T${hour}:${minute}:${second}${fraction}${zone}`,
  );
const date = fc
  .tuple(
    fc.constantFrom('0000', '0004', '1900', '2000', '2023', '2024', '9999'),
    fc.integer({ min: 0, max: 13 }),
    fc.integer({ min: 0, max: 32 }),
  )
  .map(([year, month, day]) => `${year}-${String(month).padStart(2, '0')}-${String(day).padStart(2, '0')}`);

describe('SQL reads as the evaluator does', () => {
  test('versions', async () => {
    const pieces = [
      '0',
      '1',
      '12',
      '007',
      '.',
      '.',
      '-',
      '+',
      'a',
      'rc',
      'B',
      'v',
      'V',
      'x',
      ' ',
      '\n',
      'é',
      '18446744073709551616',
    ];
    await fc.assert(
      fc.asyncProperty(nearly(...pieces), async (texts) => {
        expect(await ofEach('kohort_version_key(value)', texts)).toEqual(texts.map((text) => versionKey(text) ?? null));
      }),
      { numRuns: 50 },
    );
  });

  test('versions compared with one', async () => {
    const numeral = fc.constantFrom('0', '1', '2', '10', '007', '123456789012', '9'.repeat(18), '9'.repeat(19));
    const version = fc
      .tuple(
        fc.constantFrom('', '', '', 'v', ' '),
        fc.array(numeral, { minLength: 1, maxLength: 4 }),
        fc.constantFrom('', '', '', '-rc.2', '-0', '+build', '.', '\n'),
      )
      .map(([before, numerals, after]) => before + numerals.join('.') + after);
    const operators = {
      eq: (a: string, b: string) => a === b,
      gt: (a: string, b: string) => a > b,
      gte: (a: string, b: string) => a >= b,
      lt: (a: string, b: string) => a < b,
      lte: (a: string, b: string) => a <= b,
    };
    const operator = fc.constantFrom('eq', 'gt', 'gte', 'lt', 'lte');
    const texts = fc.array(version, { minLength: 200, maxLength: 200 });
    await fc.assert(
      fc.asyncProperty(texts, operator, async (drawn, how) => {
        const key = drawn.map(versionKey).find((one) => one !== undefined) ?? '';
        const passes = textVersionSql(sql`value`, how, key);
        const asked = sql`SELECT ${passes} AS passes FROM unnest(${drawn}::text[]) WITH ORDINALITY AS t (value, place) ORDER BY place`;
        const { rows } = await client.query<{ passes: boolean }>(asked.text, asked.values);
        const wrong = drawn.filter((one, i) => {
          const other = versionKey(one);
          return rows[i]?.passes !== (other !== undefined && operators[how](other, key));
        });
        expect(wrong, `${how} ${key}`).toEqual([]);
      }),
      { numRuns: 200 },
    );
  });

  test('keys of versions sort by byte', async () => {
    const versions = [
      '1.0.0-1',
      '1.0.0-2',
      '1.0.0-11',
      '1.0.0-a',
      '1.0.0-a-b',
      '1.0.0-a.1',
      '1.0.0-aa',
      '1.0.0-B',
      '1.0.0',
      '1.10.0',
      '10',
    ];
    const { rows } = await client.query<{ value: string }>(
      `SELECT value FROM unnest($1::text[]) AS t (value) ORDER BY kohort_version_key(value) COLLATE "C"`,
      [versions],
    );
    const sorted = versions.toSorted((a, b) => ((versionKey(a) ?? '') < (versionKey(b) ?? '') ? -1 : 1));
    expect(rows.map(({ value }) => value)).toEqual(sorted);
  });

  test('instants', async () => {
    const valid = fc
      .date({ min: new Date(0), max: new Date('9999-12-31T23:59:59.999Z'), noInvalidDate: true })
      .map((one) => one.toISOString());
    const text = fc.oneof(
      time,
      date,
      valid,
      fc.tuple(date, time).map(([day, other]) => day + other.slice(10)),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(text, { minLength: 200, maxLength: 200 }), async (texts) => {
        const expected = texts.map((one) => parseInstant(one)?.toString() ?? null);
        expect(await ofEach('kohort_instant(value)', texts)).toEqual(expected);
      }),
      { numRuns: 50 },
    );
  });

  test('instants that are none', async () => {
    const pieces = ['2026', '-', '-', '11', '26', 'T', '12', ':', ':', '00', 'Z', '+', '.', '5', ' ', '\n', '٣'];
    await fc.assert(
      fc.asyncProperty(nearly(...pieces), async (texts) => {
        const expected = texts.map((one) => parseInstant(one)?.toString() ?? null);
        expect(await ofEach('kohort_instant(value)', texts)).toEqual(expected);
      }),
      { numRuns: 20 },
    );
  });

  test('numbers as JSON writes them', async () => {
    const number = fc.oneof(
      fc.double({ noNaN: true, noDefaultInfinity: true }),
      fc.maxSafeInteger(),
      fc.constantFrom(
        0,
        1e21,
        1e-7,
        1e-6,
        999999999999999900000,
        123e-20,
        5e-324,
        1.7976931348623157e308,
        0.1,
        -1e21,
        1.5e22,
      ),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(number, { minLength: 100, maxLength: 100 }), async (numbers) => {
        const texts = numbers.map((one) => JSON.stringify(one));
        expect(await ofEach('kohort_number_text((value::jsonb)::numeric)', texts)).toEqual(texts);
      }),
      { numRuns: 50 },
    );
  });
});
