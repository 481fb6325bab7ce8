import { randomBytes } from 'node:crypto';
import { untilPasses } from '@kohort/testkit/eventually.ts';
import pg from 'pg';
import sql from 'sql-template-tag';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Client, clientOf } from '../../../test/client.ts';
import { type Service, startService } from '../../../test/service.ts';
import type { JsonObject } from '../../segmentation/conditions/json.ts';
import { indexAttribute, listAttributeIndexes, unindexAttribute } from './attribute-index.ts';

/** Enough users that an index is worth it, and every kind of value. */
const USERS = 20_000;
const VALUES = [
  '7',
  '"7"',
  '7.0',
  'true',
  'null',
  '[7, 8]',
  '["7"]',
  '[[7]]',
  '{"a": 7}',
  '[]',
  '[null]',
  '7e0',
  '-7',
  '""',
];
const NAME = `city's "\\ näme`;

let service: Service;
let client: Client;
let direct: pg.Client;
beforeAll(async () => {
  service = await startService();
  client = clientOf(service);
  direct = new pg.Client({ connectionString: service.url });
  await direct.connect();
  await service.db.write(sql`
    INSERT INTO users (attributes)
    SELECT jsonb_build_object(${NAME}::text, v.value::jsonb, 'city', 'city-' || n % 1000) FROM unnest(${VALUES}::text[]) AS v (value), generate_series(1, 3) n`);
  await service.db.write(sql`
    INSERT INTO users (attributes)
    SELECT jsonb_build_object(${NAME}::text, 'v-' || n % 4000, 'city', 'city-' || n % 1000) FROM generate_series(1, ${USERS}::int) n`);
});
afterAll(async () => {
  await direct.end();
  await service.stop();
});

const conditions: JsonObject[] = [
  ...[7, '7', true, '', -7, 'v-77'].map((value) => ({ [NAME]: value })),
  { [NAME]: null },
  { [NAME]: [7, 8] },
  { [NAME]: { $ne: 7 } },
  { [NAME]: { $in: [7, 'v-1', true] } },
  { [NAME]: { $in: [7, null] } },
  { [NAME]: { $all: [7, 8] } },
  { $or: [{ [NAME]: 7 }, { city: 'city-3' }] },
  { $and: [{ [NAME]: 'v-3' }, { city: 'city-3' }] },
  { $nor: [{ [NAME]: 7 }, { city: { $gt: 'city-1' } }] },
  { [NAME]: 'v-77', city: { $regex: '^city' } },
];

async function answers(): Promise<unknown[]> {
  const found = [];
  for (const [i, condition] of conditions.entries()) {
    const { count, total } = (await client.call('POST', '/api/segments/preview', { condition })).body;
    const members = await client.all(`/api/segments/rule-${i}/users`, 'users', 1_000);
    found.push({ count, total, members, counted: await client.get(`/api/segments/rule-${i}/count`) });
  }
  return found;
}

/** Runs `work`, and waits until it is known that an index of attributes was read meanwhile. */
async function expectIndexRead(name: string, work: () => Promise<unknown>): Promise<void> {
  const scans = async () => {
    await direct.query('SELECT pg_stat_clear_snapshot()');
    const { rows } = await direct.query<{ scans: number }>(
      "SELECT coalesce(sum(idx_scan), 0)::int AS scans FROM pg_stat_user_indexes WHERE indexrelname LIKE 'users_attribute_%'",
    );
    return rows[0]?.scans ?? 0;
  };
  const before = await scans();
  await work();
  // A backend reports what it counted when it has been idle for a while, or is asked to: which of them it was is not known.
  const reporting = () => service.db.query(sql`SELECT pg_stat_force_next_flush()`);
  await untilPasses(async () => {
    await Promise.all(Array.from({ length: 12 }, reporting));
    expect([name, await scans()]).not.toEqual([name, before]);
  });
}

it('answers are the same without, with and after an index', async () => {
  for (const [i, condition] of conditions.entries()) {
    await client.segment(`rule-${i}`, { condition });
    for (const user of [10, 11, 12, 5_000])
      await client.put(user, `rule-${i}`, { mode: user % 2 ? 'include' : 'exclude' });
  }
  const without = await answers();
  expect(await indexAttribute(direct, NAME)).toBe('created');
  expect(await indexAttribute(direct, NAME)).toBe('there already');
  expect(await answers()).toEqual(without);
  const [line] = await listAttributeIndexes(direct);
  expect(line).toMatch(/^city's "\\ näme: users_attribute_[0-9a-f]{16}, [0-9.]+ MB$/);
  expect(await unindexAttribute(direct, NAME)).toBe('dropped');
  expect(await unindexAttribute(direct, NAME)).toBe('not there');
  expect(await listAttributeIndexes(direct)).toEqual([]);
  expect(await answers()).toEqual(without);
});

it('counts, pages and previews of an equality read it', async ({ skip }) => {
  skip(service.db.isDistributed, 'workers count the reads of their own indexes');
  await indexAttribute(direct, NAME);
  await client.segment('indexed', { condition: { [NAME]: 'v-77' } });
  await client.put(12, 'indexed', { mode: 'include' });
  const asked: [string, () => Promise<unknown>][] = [
    ['count', () => client.get('/api/segments/indexed/count')],
    ['page', () => client.get('/api/segments/indexed/users')],
    ['preview', () => client.call('POST', '/api/segments/preview', { condition: { [NAME]: { $in: ['v-1', 7] } } })],
  ];
  for (const [name, ask] of asked) await expectIndexRead(name, ask);
});

it('an index whose making was cut off is made anew', async () => {
  const attribute = randomBytes(300).toString('hex');
  expect(await indexAttribute(direct, attribute)).toBe('created');
  await direct.query(
    "UPDATE pg_index SET indisvalid = false WHERE indexrelid = (SELECT oid FROM pg_class WHERE relname LIKE 'users_attribute_%' AND obj_description(oid, 'pg_class') = $1)",
    [attribute],
  );
  expect(await listAttributeIndexes(direct)).toContainEqual(expect.stringContaining('unfinished'));
  expect(await indexAttribute(direct, attribute)).toBe('created');
  expect(await listAttributeIndexes(direct)).not.toContainEqual(expect.stringContaining('unfinished'));
});

it.each(['', 'a.b', '$a'])('no condition could ask for %j, so it gets none', async (attribute) => {
  expect(await indexAttribute(direct, attribute)).toBe('impossible');
});
