import { createHash } from 'node:crypto';
import { createDatabase, type TestDatabase } from '@kohort/testkit/database.ts';
import fc from 'fast-check';
import pg from 'pg';
import sql from 'sql-template-tag';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bucket, bucketOfWord, bucketOfWordSql, bucketSql, isPercentage } from './bucket.ts';

/** The formula word for word, in integers: is floor(word × 100,000 / 2^32) below percentage × 1,000? */
function isInByIntegers(word: number, thousandths: number): boolean {
  return BigInt(word) * 100_000n < BigInt(thousandths) * 2n ** 32n;
}

/** For every percentage the words next to where the answer changes. */
function* boundaries(): Generator<[word: number, thousandths: number]> {
  for (let thousandths = 0; thousandths <= 100_000; thousandths++) {
    const edge = Math.floor((thousandths * 2 ** 32) / 100_000);
    for (const word of [edge - 1, edge, edge + 1]) if (word >= 0 && word < 2 ** 32) yield [word, thousandths];
  }
}

test('the vectors of docs/percentage.md', () => {
  const vectors: [salt: string, key: string, expected: number][] = [
    ['salt', '1', 45.16633527819067],
    ['salt', '2', 68.64312014076859],
    ['salt', 'user-1', 74.41716135945171],
    ['salt', 'user@example.com', 34.78877511806786],
    ['b5c1f0', 'größe', 22.846482414752245],
    ['b5c1f0', 'gro\u0308ße', 76.31628434173763],
    ['b5c1f0', '日本語', 29.411772079765797],
    ['b5c1f0', '😀', 40.936087956652045],
    ['salt', 'x'.repeat(255), 7.1210096357390285],
  ];
  expect(vectors.map(([salt, key]) => [salt, key, bucket(salt, key)])).toEqual(vectors);
});

test('is the formula', () => {
  fc.assert(
    fc.property(fc.string(), fc.string({ unit: 'grapheme', maxLength: 300 }), (salt, key) => {
      const word = createHash('sha256').update(`${salt}:${key}`, 'utf8').digest().readUInt32BE(0);
      expect(bucket(salt, key)).toBe((word / 4_294_967_296) * 100);
      expect(bucket(salt, key)).toBeLessThan(100);
    }),
  );
});

test('doubles decide as integers would, at every boundary', () => {
  let wrong = 0;
  for (const [word, thousandths] of boundaries()) {
    if (bucketOfWord(word) < thousandths / 1_000 !== isInByIntegers(word, thousandths)) wrong += 1;
  }
  expect(wrong).toBe(0);
});

describe('percentages have three decimals', () => {
  test.each([0, -0, 100, 0.1, 0.001, 33.333, 99.999, 1.005, 1.1, 7])('%s', (value) => {
    expect(isPercentage(value)).toBe(true);
  });

  test.each([
    -0.001,
    100.001,
    1.0005,
    33.3333,
    0.0001,
    1e-7,
    0.1 + 0.2,
    99.9999,
    Number.NaN,
    Number.POSITIVE_INFINITY,
    '5',
    null,
  ])('not %s', (value) => {
    expect(isPercentage(value)).toBe(false);
  });

  test('all 100,001 of them, and nothing between', () => {
    for (let thousandths = 0; thousandths <= 100_000; thousandths++) {
      if (!isPercentage(thousandths / 1_000) || !isPercentage(JSON.parse((thousandths / 1_000).toFixed(3)))) {
        throw new Error(`${thousandths / 1_000} is a percentage`);
      }
      if (isPercentage(thousandths / 1_000 + 0.0005)) throw new Error(`${thousandths / 1_000 + 0.0005} is none`);
    }
  });
});

describe('in PostgreSQL', () => {
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

  test('the same bucket, bit for bit', async () => {
    const text = fc.string({ unit: 'grapheme', maxLength: 300 }).filter((found) => !found.includes('\0'));
    const pairs = fc.array(fc.tuple(text, text), { minLength: 500, maxLength: 500 });
    await fc.assert(
      fc.asyncProperty(pairs, async (found) => {
        const statement = sql`SELECT array_agg(${bucketSql(sql`salt`, sql`key`)} ORDER BY i) AS buckets
          FROM unnest(${found.map(([salt]) => salt)}::text[], ${found.map(([, key]) => key)}::text[]) WITH ORDINALITY AS pairs (salt, key, i)`;
        const { rows } = await client.query<{ buckets: number[] }>(statement.text, statement.values);
        expect(rows[0]?.buckets).toEqual(found.map(([salt, key]) => bucket(salt, key)));
      }),
      { numRuns: 10 },
    );
  });

  test('the same answer at every boundary, whatever type the percentage has', async () => {
    const words: number[] = [];
    const thousandths: number[] = [];
    for (const [word, percentage] of boundaries()) {
      words.push(word);
      thousandths.push(percentage);
    }
    const found = bucketOfWordSql(sql`word`);
    const statement = sql`SELECT count(*)::int AS wrong FROM unnest(${words}::bigint[], ${thousandths}::int[]) AS pairs (word, thousandths)
      WHERE (${found} < thousandths / 1000.0) <> (word * 100000 < thousandths * 4294967296)
         OR (${found} < thousandths / 1000::float8) <> (word * 100000 < thousandths * 4294967296)`;
    const { rows } = await client.query<{ wrong: number }>(statement.text, statement.values);
    expect(rows[0]?.wrong).toBe(0);
  });
});
