import { join } from 'node:path';
import { createDatabase, type TestDatabase } from '@kohort/testkit/database.ts';
import fc from 'fast-check';
import sql from 'sql-template-tag';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Client, clientOf } from '../../../test/client.ts';
import { filesOf } from '../../../test/files.ts';
import { expectFold } from '../../../test/fold.ts';
import { type Service, startService } from '../../../test/service.ts';
import { migrate } from '../migrate.ts';

/** The same calls, one after the other, to a service on one server and to one on workers, are answered alike. */

const runs = 3;
const stepsAtMost = 120;

interface Side {
  readonly database: TestDatabase;
  readonly service: Service;
  readonly client: Client;
}

let single: Side;
let spread: Side;

async function startOn(database: TestDatabase): Promise<Side> {
  const service = await startService({ database: database.url });
  return { database, service, client: clientOf(service) };
}

beforeAll(async () => {
  const plain = await createDatabase({ migrated: false });
  await migrate(plain.url, join(import.meta.dirname, '../../../../schema'));
  single = await startOn(plain);
  spread = await startOn(await createDatabase());
  for (const { client, service } of [single, spread]) {
    await client.segment('SHARE', { percentage: 40 });
    // Otherwise shares would be others: each segment is salted at random.
    await service.db.write(sql`UPDATE segments SET salt = 'salt' WHERE slug = 'SHARE'`);
    await service.db.write(sql`UPDATE definitions SET revision = revision + 1`);
  }
  expect([single.service.db.isDistributed, spread.service.db.isDistributed]).toEqual([false, true]);
});
afterAll(async () => {
  for (const { service, database } of [single, spread]) {
    await expectFold(service.db);
    await service.stop();
    await database.drop();
  }
});

const slugs = ['A', 'B', 'C', 'D'];
const slug = fc.constantFrom(...slugs);
const names = ['ann', 'bob', 'cid', 'dee', 'eve', 'fay'];
const user = fc.constantFrom(...names).map((name) => `ext:${name}`);
const users = fc.uniqueArray(user, { maxLength: 4 });
const attributes = fc.record(
  { n: fc.oneof(fc.integer({ min: 0, max: 5 }), fc.constant(null)), tags: fc.subarray(['x', 'y', 'z']) },
  { requiredKeys: [] },
);
/** Far off, and the same on both sides; or in the past, which is refused. */
const expiry = fc.oneof(
  { weight: 4, arbitrary: fc.constant({}) },
  { weight: 2, arbitrary: fc.constant({ expires_at: '2099-01-01T00:00:00.000Z' }) },
  { weight: 1, arbitrary: fc.constant({ expires_at: '2001-01-01T00:00:00.000Z' }) },
);
const condition = fc.oneof(
  fc.constant({ $inSegment: 'SHARE' }),
  fc.integer({ min: 0, max: 5 }).map((n) => ({ n })),
  fc.integer({ min: 0, max: 5 }).map((n) => ({ n: { $gte: n } })),
  fc.constantFrom('x', 'y').map((tag) => ({ tags: tag })),
  slug.map((named) => ({ $inSegment: named })),
  fc.tuple(slug, fc.integer({ min: 0, max: 5 })).map(([named, n]) => ({ $or: [{ $notInSegment: named }, { n }] })),
);
const definition = fc.oneof(
  fc.constant({}),
  fc.record({ condition }),
  fc.constantFrom(0, 100).map((percentage) => ({ percentage })),
  fc.record({ condition, percentage: fc.constantFrom(0, 100) }),
);

interface Step {
  readonly method: string;
  readonly path: string;
  readonly body?: object;
}

const call = (method: string, path: string, body?: object): Step => ({ method, path, ...(body && { body }) });

const change: fc.Arbitrary<Step> = fc.oneof(
  fc.tuple(slug, definition).map(([name, fields]) => call('POST', '/api/segments', { slug: name, ...fields })),
  fc.tuple(slug, definition).map(([name, fields]) => call('PATCH', `/api/segments/${name}`, fields)),
  slug.map((name) => call('DELETE', `/api/segments/${name}`)),
  fc
    .tuple(fc.constantFrom(...names), attributes)
    .map(([external_id, given]) => call('POST', '/api/users', { external_id, attributes: given })),
  fc.tuple(user, attributes).map(([ref, given]) => call('PATCH', `/api/users/${ref}`, { attributes: given })),
  user.map((ref) => call('DELETE', `/api/users/${ref}`)),
  fc
    .tuple(user, slug, expiry)
    .map(([ref, name, until]) => call('POST', `/api/users/${ref}/segments`, { slug: name, ...until })),
  fc.tuple(user, slug).map(([ref, name]) => call('DELETE', `/api/users/${ref}/segments/${name}`)),
  fc
    .tuple(user, slug, fc.constantFrom('include', 'exclude', 'auto'))
    .map(([ref, name, mode]) => call('PUT', `/api/users/${ref}/segments/${name}`, { mode })),
  fc
    .tuple(user, fc.subarray(slugs), fc.subarray(slugs), expiry)
    .map(([ref, add, remove, until]) =>
      call('PATCH', `/api/users/${ref}/segments`, { add: add.map((name) => ({ slug: name, ...until })), remove }),
    ),
  fc
    .tuple(slug, users, users)
    .map(([name, add, remove]) => call('PATCH', `/api/segments/${name}/users`, { add, remove })),
);

const question: fc.Arbitrary<Step> = fc.oneof(
  user.map((ref) => call('GET', `/api/users/${ref}/memberships`)),
  fc.tuple(user, slug).map(([ref, name]) => call('GET', `/api/users/${ref}/segments/${name}`)),
  fc.subarray(slugs, { minLength: 2 }).map((segments) => call('POST', '/api/segments/overlap', { segments })),
  definition.map((fields) => call('POST', '/api/segments/preview', fields)),
  fc.tuple(slug, definition).map(([name, fields]) => call('POST', `/api/segments/${name}/preview`, fields)),
  slug.map((name) => call('GET', `/api/segments/${name}`)),
  slug.map((name) => call('GET', `/api/segments/${name}/history`)),
  fc.constant(call('GET', '/api/segments')),
);

/** A file of members, and how it is meant. */
const file = fc.record({
  slug,
  mode: fc.constantFrom('add', 'remove', 'replace'),
  unknown: fc.constantFrom('create', 'reject', 'skip'),
  isTrial: fc.boolean(),
  users: fc.uniqueArray(fc.constantFrom(...names, 'gus', 'hal'), { minLength: 1 }),
});

const step = fc.oneof(
  { weight: 10, arbitrary: change },
  { weight: 5, arbitrary: question },
  { weight: 1, arbitrary: file },
);

/** Whatever a clock or a generator of secrets made. Ids may differ by numbers that a refused call has drawn. */
const drawn = new Set([
  'request_id',
  'bucket',
  'next_cursor',
  'created_at',
  'updated_at',
  'deleted_at',
  'started_at',
  'finished_at',
  'since',
  'at',
  'salt',
  'job',
  'revision',
]);

async function nameUsers({ service }: Side): Promise<ReadonlyMap<number, string>> {
  const rows = await service.db.query<{ id: number; external_id: string }>(
    sql`SELECT u.id, u.external_id FROM users u`,
  );
  return new Map(rows.map(({ id, external_id }) => [id, external_id]));
}

function comparable(value: unknown, named: ReadonlyMap<number, string>, key = ''): unknown {
  if (value !== null && drawn.has(key)) return key;
  if (key === 'id' && typeof value === 'number') return named.get(value) ?? key;
  if (Array.isArray(value)) {
    const found = value.map((one) => comparable(one, named));
    // Nothing is promised of the order of a sample.
    return key.startsWith('sample') ? found.sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1)) : found;
  }
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, comparable(one, named, name)]));
}

async function answers(side: Side, { method, path, body }: Step): Promise<unknown> {
  const { status, body: answered } = await side.client.call(method, path, body);
  return comparable({ status, answered }, await nameUsers(side));
}

async function imported(
  side: Side,
  { slug: name, users: of, mode, unknown, isTrial }: typeof file extends fc.Arbitrary<infer F> ? F : never,
): Promise<unknown> {
  const path = `/api/segments/${name}/import?mode=${mode}&unknown=${unknown}&dry_run=${isTrial}`;
  const files = filesOf(side.service);
  const { status, body } = await files.send(path, `external_id\n${of.join('\n')}\n`);
  const job = status === 202 ? await files.ended(body.job) : body;
  return comparable({ status, job }, await nameUsers(side));
}

/** Every user's and every segment's state, by each of the ways to ask. */
async function state(side: Side): Promise<unknown> {
  const { client } = side;
  const refs = names.map((name) => `ext:${name}`);
  const found: unknown[] = [await client.call('POST', '/api/resolve', { users: refs }).then(({ body }) => body)];
  const live: { slug: string }[] = await client.all('/api/segments', 'segments');
  for (const { slug: name } of live) {
    found.push(await client.all(`/api/segments/${name}/users`, 'users', 2));
    found.push(await client.get(`/api/segments/${name}/count`));
  }
  for (const ref of refs) {
    const { status } = await client.call('GET', `/api/users/${ref}`);
    if (status === 200) found.push(await client.all(`/api/users/${ref}/history`, 'events', 3));
  }
  return comparable(found, await nameUsers(side));
}

async function onBoth(ask: (side: Side) => Promise<unknown>): Promise<[unknown, unknown]> {
  return [await ask(single), await ask(spread)];
}

it('random calls are answered alike on one server and on workers', async ({ annotate }) => {
  const statuses = new Map<string, number>();
  const property = fc.asyncProperty(fc.array(step, { maxLength: stepsAtMost, size: 'max' }), async (steps) => {
    for (const [i, one] of steps.entries()) {
      const [expected, found] = await onBoth((side) => ('path' in one ? answers(side, one) : imported(side, one)));
      expect(found, JSON.stringify(one)).toEqual(expected);
      const { status } = expected as { status: number };
      statuses.set(String(status), (statuses.get(String(status)) ?? 0) + 1);
      if (i % 10 !== 9) continue;
      const [before, after] = await onBoth(state);
      expect(after).toEqual(before);
    }
  });
  const { SEED } = process.env;
  await fc.assert(property, { numRuns: runs, endOnFailure: true, ...(SEED && { seed: Number(SEED) }) });
  await annotate(`statuses: ${[...statuses].map(([status, count]) => `${count} × ${status}`).join(', ')}`);
  expect([...statuses.keys()].filter((status) => status >= '500')).toEqual([]);
}, 600_000);
