import { createDatabase, type TestDatabase } from '@kohort/testkit/database.ts';
import fc from 'fast-check';
import pg from 'pg';
import sql from 'sql-template-tag';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parseInstant } from '../instant.ts';
import { textInstantSql } from './instant.ts';

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

const dayMs = 86_400_000;
const yearsMs = [
  Date.parse('0000-01-01'),
  Date.parse('0001-01-01'),
  Date.parse('9999-12-31'),
  Date.parse('2024-02-29'),
];

/** Moments around a few, so that texts and operands are near each other or equal. */
const moment = fc
  .tuple(
    fc.oneof(fc.constant(Date.parse('2026-11-26')), fc.constantFrom(...yearsMs)),
    fc.oneof(
      fc.constantFrom(0, 1, -1, 999, 1_000, 1_001, -1_000, dayMs, -dayMs),
      fc.integer({ min: -5_000, max: 5_000 }),
    ),
    fc.integer({ min: -2, max: 2 }),
  )
  .map(([ms, delta, days]) => ms + delta + days * dayMs);

/** A moment as clients write it, in all looks and some that are nearly one. */
const text = fc
  .tuple(
    moment,
    fc.constantFrom('', '.1', '.12', '.123', '.1239', '.123456', '.000', '.999', '.', `.${'1'.repeat(50)}`),
    fc.constantFrom('Z', 'z', '+00:00', '-00:00', '+01:00', '-23:59', '+23:59', '+24:00', '', ' Z', '+0000'),
    fc.constantFrom('date', 'time', 'time', 'time'),
    fc.constantFrom(undefined, undefined, undefined, 'x', '-', '9', 'é', ' '),
    fc.nat({ max: 25 }),
  )
  .map(([ms, fraction, zone, kind, other, place]) => {
    const iso = new Date(ms).toISOString();
    const found = kind === 'date' ? iso.slice(0, 10) : iso.slice(0, 19) + fraction + zone;
    // One character otherwise, which is a date that does not exist, or no date.
    return other === undefined ? found : found.slice(0, place) + other + found.slice(place + 1);
  });
const texts = fc.array(
  fc.oneof(text, fc.constantFrom('2026-02-29', '1900-02-29T00:00:00Z', '2024-02-29T00:00:00.000Z')),
  {
    minLength: 200,
    maxLength: 200,
  },
);

test('texts compare with a moment as the instants that they name', async () => {
  await fc.assert(
    fc.asyncProperty(texts, moment, fc.constantFrom('before', 'after'), async (drawn, ms, order) => {
      const passes = textInstantSql(sql`value`, order, ms);
      const asked = sql`SELECT coalesce(${passes}, FALSE) AS passes FROM unnest(${drawn}::text[]) WITH ORDINALITY AS t (value, place) ORDER BY place`;
      const { rows } = await client.query<{ passes: boolean }>(asked.text, asked.values);
      const expected = drawn.map((one) => {
        const instant = parseInstant(one);
        return instant !== undefined && (order === 'before' ? instant < ms : instant > ms);
      });
      const wrong = drawn.filter((_, i) => rows[i]?.passes !== expected[i]);
      expect(wrong, `${order} ${ms}`).toEqual([]);
    }),
    { numRuns: 300 },
  );
});
