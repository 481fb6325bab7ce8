import { randomUUID } from 'node:crypto';
import sql from 'sql-template-tag';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type Client, clientOf } from '../../../../test/client.ts';
import { expectFold } from '../../../../test/fold.ts';
import { type Answer, type Service, startService } from '../../../../test/service.ts';
import { letPass } from '../../../../test/time.ts';

let service: Service;
let client: Client;
beforeAll(async () => {
  service = await startService();
  client = clientOf(service);
});
afterAll(async () => {
  await expectFold(service.db);
  await service.stop();
});

let drawn = 0;
let slug: string;
beforeEach(async () => {
  slug = `Many${++drawn}`;
  await client.segment(slug);
});

const change = (body: object, headers?: Record<string, string>, of = slug): Promise<Answer> =>
  client.call('PATCH', `/api/segments/${of}/users`, body, headers);
const countOf = async (of = slug): Promise<number> => (await client.get(`/api/segments/${of}/count`)).count;
const isKnown = async (externalId: string): Promise<boolean> =>
  (await client.call('GET', `/api/users/ext:${externalId}`)).status === 200;
const inAnHour = () => new Date(Date.now() + 3_600_000).toISOString();

describe('adds and removes', () => {
  it('counts what became of each user, and writes one history row for each change', async () => {
    const [added, kept, later, excluded, removed, outside] = [
      await client.user(),
      await client.user(),
      await client.user(),
      await client.user(),
      await client.user(),
      await client.user(),
    ];
    for (const user of [kept, later, removed]) await client.add(user, slug);
    await client.put(excluded, slug, { mode: 'exclude' });
    const expires_at = inAnHour();
    const answer = await change({
      add: [String(added), String(kept), { user: String(later), expires_at }, { user: String(excluded) }],
      remove: [String(removed), String(outside)],
    });
    expect(answer).toMatchObject({ status: 200, body: { added: 1, updated: 2, removed: 1, unchanged: 2 } });
    expect(await countOf()).toBe(4);
    expect((await client.why(later, slug)).expires_at).toBe(expires_at);
    const stories = await Promise.all(
      [added, kept, later, excluded, removed, outside].map((user) => client.story(user, slug)),
    );
    expect(stories).toEqual([
      ['add include'],
      ['add include'],
      ['add include', 'update include'],
      ['add exclude', 'update include'],
      ['add include', 'remove include'],
      [],
    ]);
  });

  it('registers unknown external ids, and takes a time to live from the clock of the database', async () => {
    const word = randomUUID();
    const answer = await change({ add: [`ext:${word}/1`, { user: `ext:${word}/2`, ttl: 3_600 }] });
    expect(answer.body).toEqual({ added: 2, updated: 0, removed: 0, unchanged: 0 });
    expect(await client.segmentsOf(`ext:${word}%2F1`)).toEqual([slug]);
    const { expires_at } = await client.why(`ext:${word}%2F2`, slug);
    const [row] = await service.db.query<{ late: number }>(sql`
      SELECT extract(epoch FROM ${expires_at}::timestamptz - statement_timestamp())::float8 AS late`);
    expect(row?.late).toBeGreaterThan(3_500);
    expect(row?.late).toBeLessThanOrEqual(3_600);
  });

  it('takes a thousand users at once', async () => {
    const word = randomUUID();
    const users = Array.from({ length: 1_000 }, (_, i) => `ext:${word}-${i}`);
    expect((await change({ add: users })).body).toEqual({ added: 1_000, updated: 0, removed: 0, unchanged: 0 });
    expect(await countOf()).toBe(1_000);
    const [first, rest] = [users.slice(0, 400), users.slice(400)];
    expect((await change({ add: first, remove: rest })).body).toEqual({
      added: 0,
      updated: 0,
      removed: 600,
      unchanged: 400,
    });
    expect(await countOf()).toBe(400);
  });

  it('nothing where no user is named, in a segment that exists', async () => {
    expect((await change({})).body).toEqual({ added: 0, updated: 0, removed: 0, unchanged: 0 });
    expect((await change({}, {}, 'Nowhere')).status).toBe(404);
  });

  it('users whose membership has expired and has not been swept', async () => {
    const [again, gone] = [await client.user(), await client.user()];
    for (const user of [again, gone]) await client.add(user, slug, { ttl: 1 });
    for (const user of [again, gone]) await letPass(service.db, user, 2);
    const { body } = await change({ add: [String(again)], remove: [String(gone)] });
    expect(body).toEqual({ added: 1, updated: 0, removed: 0, unchanged: 1 });
    expect(await client.story(again, slug)).toEqual(['add include', 'expire include', 'add include']);
    expect(await client.story(gone, slug)).toEqual(['add include', 'expire include']);
  });

  it('puts users out of a dynamic segment, with an exclude only where its rule lets them in', async () => {
    const dynamic = `${slug}-rule`;
    await client.segment(dynamic, { condition: { plan: 'pro' } });
    const matching = await client.user({ attributes: { plan: 'pro' } });
    const listed = await client.user({ attributes: { plan: 'basic' } });
    const outside = await client.user({ attributes: { plan: 'basic' } });
    await client.add(listed, dynamic);
    const { body } = await change({ remove: [matching, listed, outside].map(String) }, {}, dynamic);
    expect(body).toEqual({ added: 0, updated: 0, removed: 2, unchanged: 1 });
    expect(await countOf(dynamic)).toBe(0);
    expect((await client.why(matching, dynamic)).source).toBe('exclude');
    expect((await client.why(listed, dynamic)).source).toBe('none');
  });
});

describe('refuses, and changes nothing', () => {
  it('unknown users, all of whom the 404 names', async () => {
    const word = randomUUID();
    const known = await client.user();
    const answer = await change({ add: [`ext:${word}`, '999999'], remove: [`ext:${word}-gone`, String(known)] });
    expect(answer).toMatchObject({ status: 404, body: { code: 'user_unknown' } });
    expect(answer.body.detail).toContain('999999');
    expect(answer.body.detail).toContain(`ext:${word}-gone`);
    expect(answer.body.detail).not.toContain(`${known},`);
    expect([await isKnown(word), await countOf()]).toEqual([false, 0]);
  });

  it('an unknown segment', async () => {
    const word = randomUUID();
    const answer = await change({ add: [`ext:${word}`] }, {}, 'Nowhere');
    expect(answer).toMatchObject({ status: 404, body: { code: 'segment_unknown' } });
    expect(await isKnown(word)).toBe(false);
  });

  it.each([
    ['in both', { add: ['ext:twin'], remove: ['ext:twin'] }, '/body/remove/0'],
    ['twice in one', { add: ['ext:twin', { user: 'ext:twin', ttl: 5 }] }, '/body/add/1'],
    ['by a text that is no user', { remove: ['1', '01'] }, '/body/remove/1'],
    ['by an impossible external id', { add: [{ user: 'ext:a\nb' }] }, '/body/add/0/user'],
    ['with two expiries', { add: [{ user: '1', ttl: 5, expires_at: '2999-01-01T00:00:00Z' }] }, '/body/add/0'],
    [
      'until a time that has passed',
      { add: ['1', { user: 'ext:late', expires_at: '2001-01-01T00:00:00Z' }] },
      '/body/add/1/expires_at',
    ],
    ['of whom there are too many', { add: Array(600).fill('1'), remove: Array(600).fill('2') }, '/body'],
  ])('a user %s, with the path', async (_, body, path) => {
    const answer = await change(body);
    expect(answer).toMatchObject({ status: 400, body: { code: 'invalid', errors: [{ path }] } });
    expect([await isKnown('late'), await countOf()]).toEqual([false, 0]);
  });

  it('a user who is named by both of their ids', async () => {
    const external_id = randomUUID();
    const id = await client.user({ external_id });
    const answer = await change({ add: [String(id)], remove: [`ext:${external_id}`] });
    expect(answer).toMatchObject({ status: 400, body: { errors: [{ path: '/body/remove/0' }] } });
    expect(await countOf()).toBe(0);
  });
});

it('is done once under an Idempotency-Key, and answered alike', async () => {
  const headers = { 'idempotency-key': randomUUID() };
  const body = { add: [`ext:${randomUUID()}`] };
  const first = await change(body, headers);
  const again = await change(body, headers);
  expect([first.body, again.text]).toEqual([{ added: 1, updated: 0, removed: 0, unchanged: 0 }, first.text]);
  expect(again.headers['idempotent-replayed']).toBe('true');
  expect((await change({ remove: ['1'] }, headers)).status).toBe(422);
});

it('calls that race for the same new users in other orders all succeed, and each user is added once', async () => {
  const word = randomUUID();
  const users = Array.from({ length: 40 }, (_, i) => `ext:${word}-${i}`);
  const known = await Promise.all(Array.from({ length: 10 }, () => client.user()));
  const answers = await Promise.all(
    Array.from({ length: 8 }, (_, i) => {
      const all = [...users, ...known.map(String)];
      return change({ add: i % 2 === 0 ? all : all.reverse() }, i % 3 === 0 ? { 'idempotency-key': randomUUID() } : {});
    }),
  );
  expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
  expect(answers.reduce((sum, { body }) => sum + body.added, 0)).toBe(50);
  expect(answers.reduce((sum, { body }) => sum + body.unchanged, 0)).toBe(350);
  expect(await countOf()).toBe(50);
});
