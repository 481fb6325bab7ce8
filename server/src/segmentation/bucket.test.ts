import { createHash } from 'node:crypto';
import { createDatabase, type TestDatabase } from '@kohort/testkit/database.ts';
import fc from 'fast-check';
import pg from 'pg';
import sql from 'sql-template-tag';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bucket, bucketOfWord, bucketWithinSql, firstWordOf, isPercentage } from './bucket.ts';

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

test('the words below a percentage are as many as integers say', () => {
  for (let thousandths = 0; thousandths <= 100_000; thousandths++) {
    const expected = (BigInt(thousandths) * 2n ** 32n + 99_999n) / 100_000n;
    if (firstWordOf(thousandths / 1_000) !== Number(expected)) throw new Error(`${thousandths / 1_000} has others`);
  }
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

  const share = fc.constantFrom(0, 100, 50, 0.001, 99.999, 33.333).chain((fixed) =>
    fc.oneof(
      fc.constant(fixed),
      fc.integer({ min: 0, max: 100_000 }).map((n) => n / 1_000),
    ),
  );

  test('takes the same keys', async () => {
    const text = fc.string({ unit: 'grapheme', maxLength: 300 }).filter((found) => !found.includes('\0'));
    const keys = fc.array(text, { minLength: 500, maxLength: 500 });
    await fc.assert(
      fc.asyncProperty(text, keys, share, share, async (salt, found, one, other) => {
        const [from, to] = [Math.min(one, other), Math.max(one, other)];
        const within = bucketWithinSql(salt, sql`key`, { from, to });
        const statement = sql`SELECT array_agg(${within} ORDER BY i) AS within
          FROM unnest(${found}::text[]) WITH ORDINALITY AS keys (key, i)`;
        const { rows } = await client.query<{ within: boolean[] }>(statement.text, statement.values);
        expect(rows[0]?.within).toEqual(found.map((key) => bucket(salt, key) >= from && bucket(salt, key) < to));
      }),
      { numRuns: 40 },
    );
  });

  test('takes no key without a value', async () => {
    for (const range of [
      { from: 0, to: 100 },
      { from: 0, to: 50 },
      { from: 50, to: 100 },
      { from: 20, to: 30 },
    ]) {
      const statement = sql`SELECT coalesce(${bucketWithinSql('salt', sql`NULL::text`, range)}, false) AS within`;
      const { rows } = await client.query<{ within: boolean }>(statement.text, statement.values);
      expect(rows[0]?.within).toBe(false);
    }
  });
});
