import { endpoints } from '@kohort/contract';
import { eventually } from '@kohort/testkit/eventually.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Client, clientOf } from '../../../test/client.ts';
import { expectFold } from '../../../test/fold.ts';
import { type Answer, type Service, startService } from '../../../test/service.ts';

/** Two segments of the same kind: one carries a tag of the key, of the other the key must learn nothing. */

let service: Service;
let client: Client;
let editor: string;
let user: number;
beforeAll(async () => {
  service = await startService({ mode: 'production' });
  client = clientOf(service);
  editor = (await key({ role: 'editor' })).body.key;
  await client.segment('Seen', { tags: ['other', 'web'] });
  await client.segment('Unseen', { tags: ['mail'] });
  await client.segment('SeenRule', { tags: ['web'], condition: { plan: 'pro' } });
  await client.segment('UnseenRule', { condition: { plan: 'pro' } });
  user = await client.user({ attributes: { plan: 'pro' } });
  for (const slug of ['Seen', 'Unseen']) await client.add(user, slug);
});
afterAll(async () => {
  await expectFold(service.db);
  await service.stop();
});

let drawn = 0;
function key(body: object): Promise<Answer> {
  return client.call('POST', '/api/keys', { name: `key ${++drawn}`, tags: ['web', 'app'], ...body });
}
const call = (method: string, path: string, body?: unknown, headers?: Record<string, string>) =>
  service.call(method, path, { token: editor, body, ...(headers && { headers }) });
const slugsOf = (list: { slug: string }[]) => list.map(({ slug }) => slug).sort();

it('every call under /api says how a key with tags is kept to its segments, or refuses it', () => {
  const unsaid = endpoints
    .filter(({ path, access, taggedKeys }) => path.startsWith('/api') && access !== 'public' && !taggedKeys)
    .map(({ id }) => id);
  // Accounts and keys are for admins, which no key is; an erasure would change segments that the key does not see.
  expect(unsaid.sort()).toEqual([
    'applyDefinitions',
    'changeAccount',
    'createKey',
    'createLayer',
    'deleteLayer',
    'eraseUser',
    'listAccounts',
    'listKeys',
    'listLayers',
    'readLayer',
    'revokeKey',
  ]);
  for (const { id, path, taggedKeys } of endpoints) {
    if (taggedKeys === 'segment') expect([id, path.includes('{slug}')]).toEqual([id, true]);
  }
});

describe('a segment without one of its tags is as if it did not exist', () => {
  const CALLS: [method: string, path: string, body?: unknown, type?: string][] = [
    ['GET', '/api/segments/{slug}'],
    ['PATCH', '/api/segments/{slug}', { description: 'x' }],
    ['GET', '/api/segments/{slug}/users'],
    ['GET', '/api/segments/{slug}/count'],
    ['GET', '/api/segments/{slug}/history'],
    ['GET', '/api/segments/{slug}/export'],
    ['POST', '/api/segments/{slug}/import?mode=add', 'user_id\n1\n', 'text/csv'],
    ['PATCH', '/api/segments/{slug}/users', { add: ['1'] }],
    ['POST', '/api/users/1/segments', { slug: '{slug}' }],
    ['PUT', '/api/users/1/segments/{slug}', { mode: 'include' }],
    ['PATCH', '/api/users/1/segments', { add: ['{slug}'] }],
    ['PATCH', '/api/users/1/segments', { remove: ['{slug}'] }],
    ['GET', '/api/users/1/segments/{slug}'],
    ['DELETE', '/api/users/1/segments/{slug}'],
    ['DELETE', '/api/users/1/{slug}'],
    ['POST', '/api/reports', { month: '2026-11', segment: '{slug}' }],
  ];
  it.each(CALLS)('%s %s', async (method, path, body, type) => {
    const fill = <T>(value: T, slug: string): T =>
      value === undefined ? value : JSON.parse(JSON.stringify(value).replaceAll('{slug}', slug));
    const send = (slug: string) =>
      call(method, fill(path, slug), fill(body, slug), type === undefined ? undefined : { 'content-type': type });
    const [seen, unseen, absent] = [await send('Seen'), await send('Unseen'), await send('Nowhere')];
    expect(seen.status).toBeLessThan(300);
    expect(unseen).toMatchObject({ status: 404, body: { code: 'segment_unknown' } });
    expect(unseen.body.detail.replaceAll('Unseen', 'Nowhere')).toBe(absent.body.detail);
  });

  it('and cannot be deleted', async () => {
    expect((await call('DELETE', '/api/segments/Unseen')).status).toBe(404);
    await client.segment('Doomed', { tags: ['app'] });
    expect((await call('DELETE', '/api/segments/Doomed')).status).toBe(200);
  });

  it('nor be named by a condition, with the path', async () => {
    const named = (slug: string) => ({ $and: [{ plan: 'pro' }, { $inSegment: slug }] });
    for (const [method, path, extra] of [
      ['POST', '/api/segments/preview', {}],
      ['POST', '/api/segments', { slug: 'Naming', tags: ['web'] }],
      ['PATCH', '/api/segments/SeenRule', {}],
    ] as const) {
      expect(await call(method, path, { ...extra, condition: named('Unseen') })).toMatchObject({
        status: 400,
        body: { errors: [{ path: '/body/condition/$and/1/$inSegment' }] },
      });
      expect((await call(method, path, { ...extra, condition: named('Seen') })).status).toBe(200);
    }
    expect((await call('PATCH', '/api/segments/SeenRule', { condition: { plan: 'pro' } })).status).toBe(200);
    expect((await call('DELETE', '/api/segments/Naming')).status).toBe(200);
  });
});

describe('is left out of', () => {
  it('the list of segments', async () => {
    const { segments } = (await call('GET', '/api/segments')).body;
    expect(slugsOf(segments)).toEqual(expect.arrayContaining(['Seen', 'SeenRule']));
    expect(slugsOf(segments).filter((slug) => slug.startsWith('Unseen'))).toEqual([]);
    expect((await call('GET', '/api/segments?tag=mail')).body.segments).toEqual([]);
  });

  it('the segments that name another', async () => {
    await client.segment('Named', { tags: ['web'] });
    for (const [slug, tags] of [
      ['UsesSeen', ['web']],
      ['UsesUnseen', []],
    ] as const) {
      await client.segment(slug, { tags, condition: { $inSegment: 'Named' } });
    }
    expect((await call('GET', '/api/segments/Named')).body.used_by).toEqual(['UsesSeen']);
    expect((await client.get('/api/segments/Named')).used_by).toEqual(['UsesSeen', 'UsesUnseen']);
  });

  it('what a user is in, now and then', async () => {
    const visible = ['Seen', 'SeenRule'];
    expect(await client.segmentsOf(user)).toEqual(['Seen', 'SeenRule', 'Unseen', 'UnseenRule']);
    expect((await call('GET', `/api/users/${user}/segments`)).body.segments).toEqual(visible);
    const at = encodeURIComponent(new Date(Date.now() - 1).toISOString());
    expect((await call('GET', `/api/users/${user}/segments?at=${at}`)).body.segments).toEqual(visible);
    expect(slugsOf((await call('GET', `/api/users/${user}/memberships`)).body.memberships)).toEqual(visible);
    const resolve = async (segments?: string[]) =>
      (await call('POST', '/api/resolve', { users: [String(user), 'ext:nobody'], segments })).body.results;
    expect(await resolve()).toEqual([
      { user: String(user), segments: visible },
      { user: 'ext:nobody', segments: null },
    ]);
    expect((await resolve(['Unseen', 'Seen']))[0].segments).toEqual(['Seen']);
  });

  it('their history, and reports', async () => {
    const { events } = (await call('GET', `/api/users/${user}/history`)).body;
    expect(new Set(slugsOf(events))).toEqual(new Set(['Seen']));
    expect((await call('GET', `/api/users/${user}/history?segment=Unseen`)).body.events).toEqual([]);
    const month = new Date().toISOString().slice(0, 7);
    const { url } = (await call('POST', '/api/reports', { month, user: String(user) })).body;
    const lines = (await service.call('GET', new URL(url).pathname)).text.trim().split('\n').slice(1);
    expect(lines.map((line) => line.split(',')[2])).toEqual(['Seen']);
  });
});

it('a report ends with the key that asked for it', async () => {
  const { id, key: token } = (await key({ role: 'editor' })).body;
  const { body } = await service.call('POST', '/api/reports', { token, body: { month: '2026-11' } });
  const path = new URL(body.url).pathname;
  expect((await service.call('GET', path)).status).toBe(200);
  await client.call('DELETE', `/api/keys/${id}`);
  expect((await service.call('GET', path)).status).toBe(404);
});

it('jobs of segments that the key does not see are unknown', async () => {
  const send = async (slug: string) => {
    const headers = { 'content-type': 'text/csv' };
    return (await client.call('POST', `/api/segments/${slug}/import?mode=add`, 'user_id\n1\n', headers)).body.job;
  };
  const [seen, unseen] = [await send('Seen'), await send('Unseen')];
  expect((await call('GET', `/api/jobs/${seen}`)).status).toBe(200);
  for (const [method, path] of [
    ['GET', ''],
    ['GET', '/events'],
    ['DELETE', ''],
  ] as const) {
    expect((await call(method, `/api/jobs/${unseen}${path}`)).status).toBe(404);
  }
  for (const job of [seen, unseen]) {
    await eventually(async () => (await client.get(`/api/jobs/${job}`)).finished_at !== null);
  }
});

describe('what the key writes', () => {
  it('has to carry one of its tags, before and after', async () => {
    expect((await call('POST', '/api/segments', { slug: 'Bare' })).status).toBe(403);
    expect((await call('POST', '/api/segments', { slug: 'Bare', tags: ['mail'] })).status).toBe(403);
    expect((await call('POST', '/api/segments', { slug: 'Own', tags: ['app', 'mail'] })).status).toBe(200);
    expect((await call('PATCH', '/api/segments/Own', { tags: ['mail'] })).status).toBe(403);
    expect((await call('PATCH', '/api/segments/Own', { tags: null })).status).toBe(403);
    expect((await call('PATCH', '/api/segments/Own', { tags: ['web'], description: 'x' })).status).toBe(200);
  });

  it('is no erasure of a user, whose other segments would change', async () => {
    expect((await call('DELETE', `/api/users/${user}`)).status).toBe(403);
    expect((await call('PATCH', `/api/users/${user}`, { name: 'Ann' })).status).toBe(200);
  });

  it('follows the tags of the segments at once', async () => {
    await client.segment('Moving', { tags: ['web'] });
    expect((await call('GET', '/api/segments/Moving/count')).status).toBe(200);
    await client.call('PATCH', '/api/segments/Moving', { tags: ['mail'] });
    expect((await call('GET', '/api/segments/Moving/count')).status).toBe(404);
    expect((await call('POST', '/api/users/1/segments', { slug: 'Moving' })).status).toBe(404);
  });

  it('registers no user where the segment is not visible', async () => {
    expect((await call('POST', '/api/users/ext:phantom/segments', { slug: 'Unseen' })).status).toBe(404);
    expect((await client.call('GET', '/api/users/ext:phantom')).status).toBe(404);
  });
});

it('a viewer key with tags reads, and writes nothing', async () => {
  const token = (await key({ role: 'viewer' })).body.key;
  expect((await service.call('GET', '/api/segments/Seen', { token })).status).toBe(200);
  expect((await service.call('GET', '/api/segments/Unseen', { token })).status).toBe(404);
  const body = { slug: 'Seen' };
  expect((await service.call('POST', '/api/users/1/segments', { token, body })).status).toBe(403);
});
