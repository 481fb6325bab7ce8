import sql from 'sql-template-tag';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Client, clientOf } from '../../../test/client.ts';
import { type Service, startService } from '../../../test/service.ts';
import { attributesContext, attributesOf } from './attributes.ts';

let service: Service;
let client: Client;

beforeAll(async () => {
  service = await startService();
  client = clientOf(service);
  for (const attributes of [
    { country: 'NL', age: 30, tags: ['a', 'b'], company: { id: 7, deep: { er: { still: 1 } } }, 'höhe "x"': 1 },
    { country: 'NL', age: '31', tags: [], company: { id: null } },
    { country: 'DE', vip: true },
    {},
  ]) {
    await client.user({ attributes });
  }
});
afterAll(() => service.stop());

it('lists what users have, with types and examples, the most common first', async () => {
  const { attributes, sampled_at, sampled_users, is_complete } = await client.get('/api/attributes');
  expect(attributes.slice(0, 2)).toEqual([
    { name: 'country', types: { string: 3 }, examples: ['NL', 'DE'], users: 3 },
    { name: 'age', types: { number: 1, string: 1 }, examples: ['31', 30], users: 2 },
  ]);
  expect(attributes).toContainEqual({ name: 'company.id', types: { number: 1, null: 1 }, examples: [7], users: 2 });
  expect(attributes).toContainEqual({ name: 'tags', types: { array: 2 }, examples: ['a'], users: 2 });
  expect(attributes).toContainEqual({ name: 'vip', types: { bool: 1 }, examples: [true], users: 1 });
  expect(attributes.map(({ name }: { name: string }) => name)).not.toContain('company.deep.er.still');
  expect(sampled_at).toMatch(/Z$/);
  expect([sampled_users, is_complete]).toEqual([5, true]);
});

it('is refreshed once the sample is old, and not before; sooner where the sample holds every user', async () => {
  const lasting = attributesContext(service.db, { maxAgeMs: 0, completeMaxAgeMs: 60_000 });
  const passing = attributesContext(service.db, { maxAgeMs: 60_000, completeMaxAgeMs: 0 });
  const names = async (context: typeof lasting) => (await attributesOf(context)).attributes.map(({ name }) => name);
  await Promise.all([names(lasting), names(passing)]);
  const user = await client.user({ attributes: { later: 1 } });
  expect(await names(lasting)).not.toContain('later');
  expect(await names(passing)).toContain('later');
  await client.call('DELETE', `/api/users/${user}`);
});

it('is a sample of many users, of bounded size', async () => {
  await service.db.write(sql`
    INSERT INTO users (attributes) SELECT jsonb_build_object('shard', n % 3) FROM generate_series(1, 5000) n`);
  await service.db.write(sql`ANALYZE users`);
  const context = attributesContext(service.db, { maxAgeMs: 60_000, completeMaxAgeMs: 0 });
  const { attributes, users, isComplete, sampled_at } = await attributesOf(context);
  expect(isComplete).toBe(false);
  expect((await attributesOf(context)).sampled_at).toBe(sampled_at);
  expect(users).toBeLessThanOrEqual(2_000);
  const shard = attributes.find(({ name }) => name === 'shard');
  expect(shard?.examples.toSorted()).toEqual([0, 1, 2]);
});

describe('warnings of a preview', () => {
  const warnings = async (condition: object) => {
    const { status, body } = await client.call('POST', '/api/segments/preview', { condition });
    expect(status).toBe(200);
    return body.warnings;
  };

  it.each([
    [{ contry: 'NL' }, '/body/condition/contry', 'no user has the attribute contry'],
    [
      { $or: [{ country: 'NL' }, { 'company.name': { $ne: 'x' } }] },
      '/body/condition/$or/1/company.name/$ne',
      'no user has the attribute company.name',
    ],
    [{ country: { $gte: 3 } }, '/body/condition/country/$gte', 'for no user is country a number'],
    [{ vip: { $in: ['yes', 'no'] } }, '/body/condition/vip/$in', 'for no user is vip a string'],
    [{ country: { $not: { $size: 2 } } }, '/body/condition/country/$not/$size', 'for no user is country a list'],
    [{ 'a/b~': { $exists: true } }, '/body/condition/a~1b~0/$exists', 'no user has the attribute a/b~'],
  ])('%j: %s %s', async (condition, path, message) => {
    expect(await warnings(condition)).toEqual([{ path, message }]);
  });

  it.each([
    [{ country: 'NL', age: { $gt: 3 }, vip: true }],
    [{ age: '31', tags: 'a', 'company.id': { $in: [7] } }],
    [{ tags: { $size: 2 }, 'company.deep.er.still': 1 }],
    [{ missing: null, other: { $exists: false } }],
    [{ 'tags.0': 'a', 'höhe "x"': 1 }],
    [{}],
  ])('none for %j', async (condition) => {
    expect(await warnings(condition)).toEqual([]);
  });

  it('are about all users, however rare: never about the sample', async () => {
    const sampled = await attributesOf(attributesContext(service.db));
    await client.user({ attributes: { rarest: 1 } });
    expect(sampled.attributes.map(({ name }) => name)).not.toContain('rarest');
    expect(await warnings({ rarest: 1 })).toEqual([]);
  });
});
