import { setTimeout as sleep } from 'node:timers/promises';
import sql from 'sql-template-tag';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type Client, clientOf } from '../../../test/client.ts';
import { expectFold } from '../../../test/fold.ts';
import { type Answer, type Service, startService } from '../../../test/service.ts';
import { letPass } from '../../../test/time.ts';

let service: Service;
let client: Client;
beforeAll(async () => {
  service = await startService();
  client = clientOf(service);
  for (const slug of ['a', 'b', 'c']) await client.segment(slug);
});
afterAll(async () => {
  await expectFold(service.db);
  await service.stop();
});

let user: number;
beforeEach(async () => {
  user = await client.user();
});

type Event = Answer['body'];
const history = (query = '', limit = 100): Promise<Event[]> =>
  client.all(`/api/users/${user}/history?${query}`, 'events', limit);

it('has one row for each change, newest first, and nothing else in it', async () => {
  const expires_at = new Date(Date.now() + 3_600_000).toISOString();
  await client.add(user, 'a');
  await client.add(user, 'a');
  await client.add(user, 'a', { expires_at });
  await client.put(user, 'b', { mode: 'exclude', expires_at });
  await client.remove(user, 'a');
  await client.put(user, 'b', { mode: 'auto' });
  const at = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  const actor = 'user:1';
  const events = await history();
  expect(events).toEqual([
    { at, slug: 'b', action: 'remove', source: 'exclude', expires_at, actor },
    { at, slug: 'a', action: 'remove', source: 'include', expires_at, actor },
    { at, slug: 'b', action: 'add', source: 'exclude', expires_at, actor },
    { at, slug: 'a', action: 'update', source: 'include', expires_at, actor },
    { at, slug: 'a', action: 'add', source: 'include', expires_at: null, actor },
  ]);
  expect(events.map((event) => event.at)).toEqual(
    events
      .map((event) => event.at)
      .sort()
      .reverse(),
  );
});

it('is filtered by time, from included and to excluded, and by segment', async () => {
  for (const slug of ['a', 'b', 'c']) {
    await client.add(user, slug);
    // Times are whole milliseconds: each event has one of its own.
    await sleep(5);
  }
  const [c, b, a] = await history();
  const found = async (query: string) => (await history(query)).map(({ slug }) => slug);
  expect(await found(`from=${b.at}`)).toEqual(['c', 'b']);
  expect(await found(`to=${b.at}`)).toEqual(['a']);
  expect(await found(`from=${b.at}&to=${c.at}`)).toEqual(['b']);
  expect(await found(`from=${a.at}&to=${a.at}`)).toEqual([]);
  expect(await found(`from=${encodeURIComponent(b.at.replace('Z', '+00:00'))}`)).toEqual(['c', 'b']);
  expect(await found('segment=b')).toEqual(['b']);
  expect(await found('segment=B')).toEqual([]);
  expect(await found(`segment=b&to=${b.at}`)).toEqual([]);
});

it.each([
  'from=yesterday',
  'from=2026-01-01',
  'from=2026-01-01T00:00:00',
  'to=2026-02-30T00:00:00Z',
  'from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z',
  'segment=no%20slug',
  'limit=0',
  'limit=1001',
  'cursor=x',
  'form=2026-01-01T00:00:00Z',
])('refuses ?%s', async (query) => {
  expect((await client.call('GET', `/api/users/${user}/history?${query}`)).status).toBe(400);
});

it('of an unknown user is 404', async () => {
  for (const name of ['999999', 'ext:nobody']) {
    expect((await client.call('GET', `/api/users/${name}/history`)).body.code).toBe('user_unknown');
  }
});

describe('page by page', () => {
  it('gives the same as all at once, also where many rows have one time', async () => {
    for (let i = 0; i < 4; i++) await client.patch(user, { [i % 2 ? 'remove' : 'add']: ['a', 'b', 'c'] });
    await service.db.write(sql`
      UPDATE history SET at = (SELECT min(at) FROM history WHERE user_id = ${user}) WHERE user_id = ${user}`);
    const all = await history();
    expect(all).toHaveLength(12);
    for (const limit of [1, 5, 11, 12]) expect(await history('', limit)).toEqual(all);
    expect(await history('segment=b', 1)).toEqual(all.filter(({ slug }) => slug === 'b'));
  });

  it('neither skips nor repeats a row while others write', async () => {
    for (let i = 0; i < 10; i++) await (i % 2 ? client.remove(user, 'a') : client.add(user, 'a'));
    const before = await history();
    const seen: Event[] = [];
    let cursor = '';
    for (;;) {
      const page = await client.get(`/api/users/${user}/history?limit=3${cursor}`);
      seen.push(...page.events);
      if (page.next_cursor === null) break;
      cursor = `&cursor=${page.next_cursor}`;
      await client.add(user, 'b');
      await client.remove(user, 'b');
    }
    expect(seen).toEqual(before);
  });

  it('takes no cursor of another user', async () => {
    for (const slug of ['a', 'b']) await client.add(user, slug);
    const { next_cursor } = await client.get(`/api/users/${user}/history?limit=1`);
    const other = await client.user();
    expect((await client.call('GET', `/api/users/${other}/history?cursor=${next_cursor}`)).status).toBe(400);
  });
});

it('shows what ended by itself in its place, before anybody has swept', async () => {
  await client.add(user, 'a', { ttl: 60 });
  await client.add(user, 'b', { ttl: 80 });
  await letPass(service.db, user, 100);
  await client.add(user, 'c');
  const events = await history();
  expect(events.map(({ slug, action }) => `${slug} ${action}`)).toEqual([
    'c add',
    'b expire',
    'a expire',
    'b add',
    'a add',
  ]);
  expect(await history(`to=${events[2].at}`)).toEqual(events.slice(3));
});

it('knows deleted segments by their last name, and renamed ones by the new one', async () => {
  await client.segment('first-name');
  await client.add(user, 'first-name');
  await client.call('PATCH', '/api/segments/first-name', { slug: 'last-name' });
  expect((await history()).map(({ slug }) => slug)).toEqual(['last-name']);
  await client.call('DELETE', '/api/segments/last-name');
  const events = await history('segment=last-name');
  expect(events.map(({ action }) => action)).toEqual(['remove', 'add']);
});

it('of an override that was over before its segment was deleted says expire, otherwise remove', async () => {
  await client.segment('ending');
  const other = await client.user();
  await client.add(user, 'ending', { ttl: 60 });
  await client.add(other, 'ending', { ttl: 600 });
  for (const one of [user, other]) await letPass(service.db, one, 90);
  await client.call('DELETE', '/api/segments/ending');
  expect(await client.story(user)).toEqual(['add include', 'expire include']);
  expect(await client.story(other)).toEqual(['add include', 'remove include']);
});

it('may be read by the member it is about, and by no other member', async () => {
  const [self, other] = [await service.account('history-self'), await service.account('history-other')];
  await client.add(self.id, 'a');
  const read = (token: string) => service.call('GET', `/api/users/${self.id}/history`, { token });
  expect((await read(self.token)).body.events).toMatchObject([{ slug: 'a', action: 'add', actor: 'user:1' }]);
  expect((await read(other.token)).status).toBe(403);
});
