import { createHash } from 'node:crypto';
import { untilPasses } from '@kohort/testkit/eventually.ts';
import sql from 'sql-template-tag';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type Client, clientOf, patiently } from '../../../test/client.ts';
import { expectFold } from '../../../test/fold.ts';
import { type Service, startService } from '../../../test/service.ts';
import { letPass } from '../../../test/time.ts';
import { sweepExpired } from './write/expiry.ts';

let service: Service;
let client: Client;
beforeAll(async () => {
  service = await startService();
  client = clientOf(service);
  await client.segment('list');
  await client.segment('other-list');
  await client.segment('everybody', { percentage: 100 });
  await client.segment('nobody', { percentage: 0 });
  await client.segment('pro', { condition: { plan: 'pro' } });
  await client.segment('both', { percentage: 100, condition: { plan: 'pro' } });
  await client.segment('in-list', { condition: { $inSegment: 'list' } });
  await client.segment('not-in-everybody', { condition: { $notInSegment: 'everybody' } });
});
afterAll(async () => {
  await expectFold(service.db);
  await service.stop();
});

/** A new user for each test. */
let user: number;
beforeEach(async () => {
  user = await client.user();
});

const MINUTE = 60_000;
const inMinutes = (minutes: number) => new Date(Date.now() + minutes * MINUTE).toISOString();
const membership = async (slug: string, of: number | string = user) =>
  (await client.get(`/api/users/${of}/memberships`)).memberships.find((one: { slug: string }) => one.slug === slug);
const setPlan = (plan: string) => client.call('PATCH', `/api/users/${user}`, { attributes: { plan } });
const OK = { status: 200, text: '{"status":"ok"}' };

describe('POST …/segments', () => {
  it('puts the user in, for good', async () => {
    expect(await client.add(user, 'list')).toMatchObject(OK);
    expect(await client.segmentsOf(user)).toEqual(['everybody', 'in-list', 'list']);
    expect(await membership('list')).toEqual({
      slug: 'list',
      source: 'include',
      since: expect.any(String),
      expires_at: null,
    });
    expect(await client.story(user)).toEqual(['add include']);
  });

  it('again with the same expiry changes nothing and writes no history', async () => {
    const expires_at = inMinutes(60);
    for (const expiry of [{}, { expires_at: null }]) await client.add(user, 'list', expiry);
    for (let i = 0; i < 2; i++) await client.add(user, 'other-list', { expires_at });
    // The same moment, said otherwise.
    await client.add(user, 'other-list', { expires_at: expires_at.replace('Z', '999+00:00') });
    expect(await client.story(user)).toEqual(['add include', 'add include']);
  });

  it('with another expiry, or none, replaces it with an update', async () => {
    const [first, second] = [inMinutes(60), inMinutes(120)];
    await client.add(user, 'list', { expires_at: first });
    const { since } = await membership('list');
    await client.add(user, 'list', { expires_at: second });
    expect(await membership('list')).toMatchObject({ since, expires_at: second });
    await client.add(user, 'list');
    expect(await membership('list')).toMatchObject({ since, expires_at: null });
    await client.add(user, 'list', { expires_at: first });
    const { events } = await client.get(`/api/users/${user}/history`);
    expect(events.map((event: { action: string; expires_at: string }) => [event.action, event.expires_at])).toEqual([
      ['update', first],
      ['update', null],
      ['update', second],
      ['add', first],
    ]);
  });

  it('takes a ttl in seconds from now', async () => {
    const before = Date.now();
    await client.add(user, 'list', { ttl: 90 });
    const expires = Date.parse((await membership('list')).expires_at);
    expect(expires).toBeGreaterThanOrEqual(before + 90_000 - 1_000);
    expect(expires).toBeLessThanOrEqual(Date.now() + 90_000 + 1_000);
  });

  it('of an excluded user is an update', async () => {
    await client.put(user, 'everybody', { mode: 'exclude' });
    await client.add(user, 'everybody');
    expect(await client.story(user)).toEqual(['add exclude', 'update include']);
    expect(await client.why(user, 'everybody')).toMatchObject({ member: true, source: 'include' });
  });

  it('registers an unknown external id, but not for an unknown segment, a past time or a bad body', async () => {
    expect((await client.add('ext:new-1', 'no-such')).status).toBe(404);
    expect((await client.add('ext:new-1', 'list', { expires_at: inMinutes(-1) })).status).toBe(400);
    expect((await client.add('ext:new-1', 'list', { expire: 1 })).status).toBe(400);
    expect((await client.call('GET', '/api/users/ext:new-1')).status).toBe(404);
    expect(await client.add('ext:new-1', 'list')).toMatchObject(OK);
    expect(await client.segmentsOf('ext:new-1')).toContain('list');
  });

  it('knows no other unknown user', async () => {
    expect(await client.add(999_999, 'list')).toMatchObject({ status: 404, body: { code: 'user_unknown' } });
    expect(await client.add(user, 'no-such')).toMatchObject({ status: 404, body: { code: 'segment_unknown' } });
  });

  it.each([
    { expires_at: '2099-01-01T00:00:00Z', ttl: 5 },
    { expires_at: '2020-01-01T00:00:00Z' },
    { expires_at: '2099-02-30T00:00:00Z' },
    { expires_at: '2099-01-01T00:00:00' },
    { expires_at: '2099-01-01 00:00:00Z' },
    { expires_at: '2099-01-01T00:00:60Z' },
    { expires_at: 'infinity' },
    { expires_at: 'tomorrow' },
    { expires_at: 4_070_908_800 },
    { ttl: 0 },
    { ttl: -1 },
    { ttl: 1.5 },
    { ttl: '5' },
    { ttl: null },
    { ttl: 1e300 },
    { expires: '2099-01-01T00:00:00Z' },
  ])('refuses %j', async (expiry) => {
    expect((await client.add(user, 'list', expiry)).status).toBe(400);
    expect(await client.story(user)).toEqual([]);
  });

  it('of one new external id by 30 at once registers one user', async () => {
    const slugs = ['list', 'other-list', 'everybody'];
    const answers = await Promise.all(
      Array.from({ length: 30 }, (_, i) => client.add('ext:thirty', slugs[i % 3] ?? '')),
    );
    expect(answers.map(({ status }) => status)).toEqual(Array(30).fill(200));
    expect(await client.all('/api/users?query=thirty', 'users')).toHaveLength(1);
    expect(await client.story('ext:thirty')).toEqual(Array(3).fill('add include'));
  });
});

describe('expiry', () => {
  const everyRead = async () => {
    const members = await client.all('/api/segments/other-list/users', 'users');
    const resolved = await client.call('POST', '/api/resolve', { users: [String(user)], segments: ['other-list'] });
    const { memberships } = await client.get(`/api/users/${user}/memberships`);
    return {
      one: (await client.segmentsOf(user)).includes('other-list'),
      resolve: resolved.body.results[0].segments.length === 1,
      memberships: memberships.some(({ slug }: { slug: string }) => slug === 'other-list'),
      why: (await client.why(user, 'other-list')).member,
      page: members.some(({ id }) => id === user),
      count: (await client.get('/api/segments/other-list/count')).count - members.length === 0,
    };
  };
  const IN = { one: true, resolve: true, memberships: true, why: true, page: true, count: true };
  const OUT = { one: false, resolve: false, memberships: false, why: false, page: false, count: true };

  it('is exact at every read, before and after the sweep', async () => {
    await client.add(user, 'other-list', { ttl: 3_600 });
    expect(await everyRead()).toEqual(IN);
    await letPass(service.db, user, 3_000);
    expect(await everyRead()).toEqual(IN);
    await letPass(service.db, user, 600);
    expect(await everyRead()).toEqual(OUT);
    expect(await client.why(user, 'other-list')).toMatchObject({ source: 'none', expires_at: null });
    await sweepExpired(service.db);
    expect(await everyRead()).toEqual(OUT);
    expect(await client.story(user)).toEqual(['add include', 'expire include']);
  });

  it('comes about by the clock alone', async () => {
    const begun = Date.now();
    await client.add(user, 'other-list', { ttl: 1 });
    const before = await everyRead();
    // On a busy machine the second may be over by now.
    if (Date.now() < begun + 1_000) expect(before).toEqual(IN);
    await untilPasses(async () => expect(await everyRead()).toEqual(OUT));
  });

  it('is in the history at once, dated with the moment it happened, by the system', async () => {
    await client.add(user, 'other-list', { ttl: 60 });
    await letPass(service.db, user, 90);
    const { events } = await client.get(`/api/users/${user}/history`);
    expect(events).toMatchObject([
      { action: 'expire', source: 'include', actor: 'system', at: events[1].expires_at },
      { action: 'add', source: 'include', actor: 'user:1' },
    ]);
    // Written once, by the read or the sweep.
    await sweepExpired(service.db);
    expect((await client.get(`/api/users/${user}/history`)).events).toEqual(events);
  });

  it('of an exclude lets the rule decide again', async () => {
    await client.put(user, 'everybody', { mode: 'exclude', ttl: 60 });
    expect(await client.segmentsOf(user)).toEqual(['not-in-everybody']);
    await letPass(service.db, user, 90);
    expect(await client.segmentsOf(user)).toEqual(['everybody']);
    expect(await client.why(user, 'everybody')).toMatchObject({ source: 'percentage', expires_at: null });
    expect(await client.story(user)).toEqual(['add exclude', 'expire exclude']);
  });

  it.each(['add', 'put', 'patch'] as const)(
    'and then %s again is expire and add, whether swept or not',
    async (how) => {
      for (const swept of [false, true]) {
        await client.add(user, 'list', { ttl: 60 });
        await letPass(service.db, user, 90);
        if (swept) await sweepExpired(service.db);
        const begun = Date.now();
        if (how === 'add') await client.add(user, 'list', { ttl: 60 });
        if (how === 'put') await client.put(user, 'list', { mode: 'include', ttl: 60 });
        if (how === 'patch') await client.patch(user, { add: [{ slug: 'list', ttl: 60 }] });
        expect((await client.story(user)).slice(-3)).toEqual(['add include', 'expire include', 'add include']);
        const { since } = await membership('list');
        expect(Date.parse(since)).toBeGreaterThanOrEqual(begun);
        await client.remove(user, 'list');
      }
    },
  );

  it.each([
    ['DELETE', () => client.remove(user, 'list')],
    ['PUT auto', () => client.put(user, 'list', { mode: 'auto' })],
    ['PATCH remove', () => client.patch(user, { remove: ['list'] })],
  ])('and then %s changes nothing more', async (_, removal) => {
    await client.add(user, 'list', { ttl: 60 });
    await letPass(service.db, user, 90);
    expect((await removal()).status).toBe(200);
    expect(await client.story(user)).toEqual(['add include', 'expire include']);
  });

  it('to an exclude after an expired include is expire and add', async () => {
    await client.add(user, 'everybody', { ttl: 60 });
    await letPass(service.db, user, 90);
    await client.remove(user, 'everybody');
    expect(await client.story(user)).toEqual(['add include', 'expire include', 'add exclude']);
  });

  it('of an override in a segment that another one names shows there too', async () => {
    await client.add(user, 'list', { ttl: 60 });
    expect(await client.segmentsOf(user)).toContain('in-list');
    await letPass(service.db, user, 90);
    expect(await client.segmentsOf(user)).not.toContain('in-list');
    const members = await client.all('/api/segments/in-list/users', 'users');
    expect(members.map(({ id }) => id)).not.toContain(user);
  });
});

describe.each([
  ['/api/users/{user}/segments/{slug}', '/segments'],
  ['/api/users/{user}/{slug}', ''],
])('DELETE %s', (_, infix) => {
  const remove = (who: number | string, slug: string) => client.call('DELETE', `/api/users/${who}${infix}/${slug}`);

  it('takes a list member out; already out changes nothing', async () => {
    await client.add(user, 'list');
    for (let i = 0; i < 3; i++) expect(await remove(user, 'list')).toMatchObject(OK);
    expect(await client.segmentsOf(user)).toEqual(['everybody']);
    expect(await client.story(user)).toEqual(['add include', 'remove include']);
  });

  it('is accepted with a content type and no body, as the documents of the seed have it', async () => {
    await client.add(user, 'list');
    const headers = { 'content-type': 'application/json' };
    expect(await client.call('DELETE', `/api/users/${user}${infix}/list`, undefined, headers)).toMatchObject(OK);
    expect(await client.segmentsOf(user)).not.toContain('list');
  });

  it('leaves an exclude alone', async () => {
    for (const slug of ['list', 'everybody']) {
      await client.put(user, slug, { mode: 'exclude', ttl: 60 });
      expect(await remove(user, slug)).toMatchObject(OK);
      expect(await client.story(user, slug)).toEqual(['add exclude']);
      expect((await client.why(user, slug)).expires_at).not.toBeNull();
    }
  });

  it('sets an exclude where percentage or condition let the user in', async () => {
    await setPlan('pro');
    for (const slug of ['everybody', 'pro', 'both']) {
      for (let i = 0; i < 2; i++) expect(await remove(user, slug)).toMatchObject(OK);
      expect(await client.why(user, slug)).toMatchObject({ member: false, source: 'exclude', expires_at: null });
      expect(await client.story(user, slug)).toEqual(['add exclude']);
    }
  });

  it('drops an include where the rule does not let the user in, and turns it into an exclude where it does', async () => {
    for (const slug of ['pro', 'everybody']) await client.add(user, slug, { ttl: 60 });
    for (const slug of ['pro', 'everybody']) expect(await remove(user, slug)).toMatchObject(OK);
    expect(await client.story(user, 'pro')).toEqual(['add include', 'remove include']);
    expect(await client.story(user, 'everybody')).toEqual(['add include', 'update exclude']);
    expect(await client.why(user, 'everybody')).toMatchObject({ member: false, source: 'exclude', expires_at: null });
    // Nothing stands in the way later.
    await setPlan('pro');
    expect(await client.segmentsOf(user)).toContain('pro');
  });

  it('changes nothing where neither rule nor override lets the user in', async () => {
    for (const slug of ['pro', 'nobody', 'in-list']) expect(await remove(user, slug)).toMatchObject(OK);
    expect(await client.story(user)).toEqual([]);
  });

  it('sees the segments that the condition names, as the user is in them by override', async () => {
    await client.add(user, 'list');
    expect(await client.segmentsOf(user)).toContain('in-list');
    expect(await remove(user, 'in-list')).toMatchObject(OK);
    expect(await client.segmentsOf(user)).toEqual(['everybody', 'list']);
    await remove(user, 'everybody');
    expect(await client.segmentsOf(user)).toEqual(['list', 'not-in-everybody']);
    await remove(user, 'not-in-everybody');
    expect(await client.segmentsOf(user)).toEqual(['list']);
  });

  it('of unknown users and segments is 404 and registers no user', async () => {
    expect(await remove('ext:unknown-leaver', 'list')).toMatchObject({ status: 404, body: { code: 'user_unknown' } });
    expect(await remove('ext:unknown-leaver', 'everybody')).toMatchObject({ status: 404 });
    expect(await remove(999_999, 'list')).toMatchObject({ status: 404, body: { code: 'user_unknown' } });
    expect(await remove(user, 'no-such')).toMatchObject({ status: 404, body: { code: 'segment_unknown' } });
    expect((await client.call('GET', '/api/users/ext:unknown-leaver')).status).toBe(404);
  });
});

describe('PUT …/segments/{slug}', () => {
  it('sets include and exclude with their expiries, and auto drops either', async () => {
    const expires_at = inMinutes(60);
    const steps: [body: object, member: boolean, source: string, expires_at: string | null][] = [
      [{ mode: 'exclude' }, false, 'exclude', null],
      [{ mode: 'exclude' }, false, 'exclude', null],
      [{ mode: 'exclude', expires_at }, false, 'exclude', expires_at],
      [{ mode: 'include', expires_at }, true, 'include', expires_at],
      [{ mode: 'include' }, true, 'include', null],
      [{ mode: 'auto' }, true, 'percentage', null],
      [{ mode: 'auto' }, true, 'percentage', null],
      [{ mode: 'exclude', ttl: 60 }, false, 'exclude', expect.any(String)],
      [{ mode: 'auto' }, true, 'percentage', null],
    ];
    for (const [body, member, source, expires] of steps) {
      expect(await client.put(user, 'everybody', body)).toMatchObject(OK);
      expect(await client.why(user, 'everybody')).toMatchObject({ member, source, expires_at: expires });
    }
    expect(await client.story(user)).toEqual([
      'add exclude',
      'update exclude',
      'update include',
      'update include',
      'remove include',
      'add exclude',
      'remove exclude',
    ]);
  });

  it('begins anew when the mode turns, and goes on when only the expiry changes', async () => {
    await client.put(user, 'everybody', { mode: 'include' });
    const { since } = await membership('everybody');
    await client.put(user, 'everybody', { mode: 'exclude' });
    await client.put(user, 'everybody', { mode: 'include' });
    const again = await membership('everybody');
    expect(again.since > since).toBe(true);
    await client.put(user, 'everybody', { mode: 'include', ttl: 60 });
    expect((await membership('everybody')).since).toBe(again.since);
  });

  it('registers an unknown external id, but not for an unknown segment', async () => {
    for (const mode of ['include', 'exclude', 'auto']) {
      expect((await client.put(`ext:put-${mode}`, 'no-such', { mode })).status).toBe(404);
      expect((await client.call('GET', `/api/users/ext:put-${mode}`)).status).toBe(404);
      expect(await client.put(`ext:put-${mode}`, 'list', { mode })).toMatchObject(OK);
      expect((await client.get(`/api/users/ext:put-${mode}`)).external_id).toBe(`put-${mode}`);
    }
    expect((await client.put(999_999, 'list', { mode: 'include' })).status).toBe(404);
  });

  it.each([
    {},
    { mode: 'maybe' },
    { mode: null },
    { mode: 'include', ttl: 5, expires_at: '2099-01-01T00:00:00Z' },
    { mode: 'exclude', expires_at: '2020-01-01T00:00:00Z' },
    { mode: 'auto', ttl: 5 },
    { mode: 'include', slug: 'list' },
  ])('refuses %j', async (body) => {
    expect((await client.put(user, 'list', body)).status).toBe(400);
    expect(await client.story(user)).toEqual([]);
  });
});

describe('PATCH …/segments', () => {
  it('adds and removes as the single calls do', async () => {
    const expires_at = inMinutes(60);
    await client.add(user, 'list');
    const body = {
      add: ['other-list', { slug: 'pro', expires_at }, { slug: 'nobody', ttl: 60 }],
      remove: ['list', 'everybody'],
    };
    for (let i = 0; i < 2; i++) {
      expect(await client.patch(user, i === 0 ? body : { ...body, add: body.add.slice(0, 2) })).toMatchObject(OK);
    }
    expect(await client.segmentsOf(user)).toEqual(['nobody', 'not-in-everybody', 'other-list', 'pro']);
    expect((await membership('pro')).expires_at).toBe(expires_at);
    expect((await client.story(user)).sort()).toEqual([
      'add exclude',
      ...Array(4).fill('add include'),
      'remove include',
    ]);
  });

  it('has the user out of all that is removed, whatever depends on what', async () => {
    await client.add(user, 'list');
    // To be put out of everybody would let the user into not-in-everybody.
    expect(await client.patch(user, { remove: ['not-in-everybody', 'everybody', 'in-list'] })).toMatchObject(OK);
    expect(await client.segmentsOf(user)).toEqual(['list']);
    // To come into the list would let the user into in-list.
    const other = await client.user();
    expect(await client.patch(other, { add: ['list'], remove: ['in-list'] })).toMatchObject(OK);
    expect(await client.segmentsOf(other)).toEqual(['everybody', 'list']);
    // Once out of the list there is nothing left to exclude from.
    const third = await client.user();
    await client.add(third, 'list');
    expect(await client.patch(third, { remove: ['in-list', 'list'] })).toMatchObject(OK);
    expect(await client.story(third)).toEqual(['add include', 'remove include']);
  });

  it('is all or nothing, and the 404 names every unknown slug', async () => {
    const before = await client.segmentsOf(user);
    const answer = await client.patch(user, {
      add: ['list', 'no-1', { slug: 'no-2', ttl: 5 }],
      remove: ['everybody', 'no-3'],
    });
    expect(answer).toMatchObject({ status: 404, body: { code: 'segment_unknown' } });
    for (const slug of ['no-1', 'no-2', 'no-3']) expect(answer.body.detail).toContain(slug);
    expect(answer.body.detail).not.toContain('everybody');
    expect(await client.segmentsOf(user)).toEqual(before);
    expect(await client.story(user)).toEqual([]);
    expect((await client.patch('ext:patched', { add: ['list', 'no-1'] })).status).toBe(404);
    expect((await client.call('GET', '/api/users/ext:patched')).status).toBe(404);
    expect(await client.patch('ext:patched', { add: ['list'] })).toMatchObject(OK);
    expect(await client.segmentsOf('ext:patched')).toContain('list');
    expect(await client.patch(999_999, { add: ['list'] })).toMatchObject({
      status: 404,
      body: { code: 'user_unknown' },
    });
  });

  it('names the place of each time that is over, and does nothing', async () => {
    const answer = await client.patch(user, {
      add: ['list', { slug: 'pro', expires_at: inMinutes(-1) }, { slug: 'no-such', expires_at: inMinutes(-2) }],
    });
    expect(answer.status).toBe(400);
    expect(answer.body.errors.map(({ path }: { path: string }) => path)).toEqual([
      '/body/add/1/expires_at',
      '/body/add/2/expires_at',
    ]);
    expect(await client.story(user)).toEqual([]);
  });

  it.each([
    { add: ['list'], remove: ['list'] },
    { add: [{ slug: 'list', ttl: 5 }], remove: ['list'] },
    { add: [{ slug: 'list', ttl: 5, expires_at: '2099-01-01T00:00:00Z' }] },
    { add: [{ slug: 'list', expires_at: '2020-01-01T00:00:00Z' }] },
    { add: [{ slug: 'list', expires: 5 }] },
    { add: [{}] },
    { add: [7] },
    { add: ['no slug'] },
    { remove: [{ slug: 'list' }] },
    { add: 'list' },
    { add: null },
    { adds: ['list'] },
    { add: Array.from({ length: 1_001 }, (_, i) => `s${i}`) },
    { remove: Array.from({ length: 1_001 }, (_, i) => `s${i}`) },
  ])('refuses %j', async (body) => {
    expect((await client.patch('ext:refused-patch', body)).status).toBe(400);
    expect((await client.call('GET', '/api/users/ext:refused-patch')).status).toBe(404);
  });

  it('without anything to do does nothing', async () => {
    for (const body of [{}, { add: [], remove: [] }]) expect(await client.patch(user, body)).toMatchObject(OK);
    expect(await client.story(user)).toEqual([]);
  });

  it('of lists in opposite orders, crossing, ends for all of them, and either way', async () => {
    const slugs = Array.from({ length: 8 }, (_, i) => `crossing-${i}`);
    for (const slug of slugs) await client.segment(slug);
    const users = [user, await client.user(), await client.user()];
    const answers = await Promise.all(
      Array.from({ length: 60 }, (_, i) => {
        const order = i % 2 ? slugs : [...slugs].reverse();
        const half = { add: order.slice(0, 4), remove: order.slice(4) };
        return patiently(() => client.patch(users[i % 3] ?? user, half));
      }),
    );
    expect(answers.map(({ status }) => status)).toEqual(Array(60).fill(200));
    for (const one of users) {
      const found = (await client.segmentsOf(one)).filter((slug) => slug.startsWith('crossing'));
      expect([slugs.slice(0, 4), slugs.slice(4)]).toContainEqual(found);
    }
  });
});

describe('concurrent adds and removes of one pair', () => {
  it('take turns: the history alternates and the last word stands', async () => {
    const ref = 'ext:turns';
    const answers = await Promise.all(
      Array.from({ length: 120 }, (_, i) => {
        return patiently(() => {
          if (i % 4 === 0) return client.add(ref, 'list');
          if (i % 4 === 1) return client.put(ref, 'list', { mode: 'include' });
          if (i % 4 === 2) return client.patch(ref, { add: ['list'] });
          return client.remove(ref, 'list');
        });
      }),
    );
    expect(answers.filter(({ status }) => status !== 200 && status !== 404)).toEqual([]);
    const story = await client.story(ref);
    expect(story).toEqual(story.map((_, i) => (i % 2 === 0 ? 'add include' : 'remove include')));
    expect((await client.why(ref, 'list')).member).toBe(story.at(-1) === 'add include');
  });

  it('through two names of the user agree as well', async () => {
    const id = await client.user({ external_id: 'two-names' });
    const answers = await Promise.all(
      Array.from({ length: 80 }, (_, i) => {
        const name = i % 2 ? id : 'ext:two-names';
        return patiently(() =>
          i % 3 ? client.add(name, 'list', i % 5 ? {} : { ttl: 60 }) : client.remove(name, 'list'),
        );
      }),
    );
    expect(answers.map(({ status }) => status)).toEqual(Array(80).fill(200));
  });
});

describe('GET …/segments', () => {
  it('answers the slugs sorted byte by byte, as the seed has it', async () => {
    const slugs = ['b', 'B', 'a.b', 'a_b', 'a-b', 'a', 'ab'].map((slug) => `sorted-${slug}`);
    for (const slug of slugs) await client.segment(slug);
    await client.patch(user, { add: slugs, remove: ['everybody', 'not-in-everybody'] });
    const answer = await client.call('GET', `/api/users/${user}/segments`);
    expect(answer.text).toBe(JSON.stringify({ segments: [...slugs].sort() }));
    const { memberships } = await client.get(`/api/users/${user}/memberships`);
    expect(memberships.map(({ slug }: { slug: string }) => slug)).toEqual([...slugs].sort());
    await client.patch(user, { remove: slugs });
  });

  it('of a user in nothing is empty', async () => {
    await client.patch(user, { remove: ['everybody', 'not-in-everybody'] });
    expect((await client.call('GET', `/api/users/${user}/segments`)).text).toBe('{"segments":[]}');
  });
});

describe('why', () => {
  it('returns every source, with bucket and matched where the segment has them', async () => {
    const key = String(user);
    const nothing = {
      member: false,
      source: 'none',
      expires_at: null,
      bucket: null,
      percentage: null,
      matched: null,
    };
    expect(await client.why(user, 'list')).toEqual(nothing);
    expect(await client.why(user, 'pro')).toEqual({ ...nothing, matched: false });
    const { salt } = await client.get('/api/segments/everybody');
    const bucket = bucketByTheBook(salt, key);
    expect(await client.why(user, 'everybody')).toEqual({
      ...nothing,
      member: true,
      source: 'percentage',
      percentage: 100,
      bucket,
    });
    const zero = bucketByTheBook((await client.get('/api/segments/nobody')).salt, key);
    expect(await client.why(user, 'nobody')).toEqual({ ...nothing, percentage: 0, bucket: zero });
    await setPlan('pro');
    expect(await client.why(user, 'pro')).toEqual({ ...nothing, member: true, source: 'condition', matched: true });
    expect(await client.why(user, 'both')).toEqual({
      member: true,
      source: 'percentage+condition',
      expires_at: null,
      bucket: bucketByTheBook((await client.get('/api/segments/both')).salt, key),
      percentage: (await client.get('/api/segments/both')).percentage,
      matched: true,
    });
    const expires_at = inMinutes(60);
    await client.put(user, 'both', { mode: 'exclude', expires_at });
    expect(await client.why(user, 'both')).toMatchObject({
      member: false,
      source: 'exclude',
      expires_at,
      matched: true,
    });
    await client.put(user, 'list', { mode: 'include', expires_at });
    expect(await client.why(user, 'list')).toEqual({ ...nothing, member: true, source: 'include', expires_at });
  });

  it('takes the bucket from the external id, where there is one', async () => {
    const external_id = 'bucket Ü';
    const id = await client.user({ external_id });
    const { salt } = await client.get('/api/segments/everybody');
    expect((await client.why(id, 'everybody')).bucket).toBe(bucketByTheBook(salt, external_id));
  });

  it('of unknown users and segments is 404', async () => {
    expect((await client.call('GET', `/api/users/${user}/segments/no-such`)).body.code).toBe('segment_unknown');
    expect((await client.call('GET', '/api/users/999999/segments/list')).body.code).toBe('user_unknown');
    expect((await client.call('GET', '/api/users/999999/memberships')).body.code).toBe('user_unknown');
    expect((await client.call('GET', '/api/users/999999/segments')).body.code).toBe('user_unknown');
  });
});

describe('memberships', () => {
  it('tell the source of each, since when where it is an override, and until when', async () => {
    await setPlan('pro');
    const expires_at = inMinutes(60);
    await client.add(user, 'list', { expires_at });
    await client.put(user, 'everybody', { mode: 'exclude' });
    const { memberships } = await client.get(`/api/users/${user}/memberships`);
    const { events } = await client.get(`/api/users/${user}/history?segment=list`);
    const byRule = { since: null, expires_at: null };
    expect(memberships).toEqual([
      { slug: 'both', source: 'percentage+condition', ...byRule },
      { slug: 'in-list', source: 'condition', ...byRule },
      { slug: 'list', source: 'include', since: events[0].at, expires_at },
      { slug: 'not-in-everybody', source: 'condition', ...byRule },
      { slug: 'pro', source: 'condition', ...byRule },
    ]);
  });
});

describe('resolve', () => {
  const resolve = (body: unknown) => client.call('POST', '/api/resolve', body);

  it('many at once take turns at few connections, and each gets their own answer', async () => {
    const ids: number[] = [];
    for (let i = 0; i < 30; i++) ids.push(await client.user({ external_id: `at once ${i}` }));
    const answers = await Promise.all(
      Array.from({ length: 60 }, async (_, i) => {
        const users = [String(ids[i % 30]), ...(i % 2 === 0 ? ['ext:nobody'] : []), `ext:at once ${(i * 7) % 30}`];
        const { status, body } = await resolve({ users });
        expect(status).toBe(200);
        return [users, body.results.map((one: { user: string }) => one.user)];
      }),
    );
    for (const [asked, answered] of answers) expect(answered).toEqual(asked);
    const { text } = await service.call('GET', '/metrics');
    const statements = /^kohort_coalesced_callers_count\{statement="resolve"\} ([0-9]+)$/m.exec(text)?.[1];
    expect(Number(statements)).toBeLessThan(60);
  });

  it('answers in the order asked, duplicates and unknown users included', async () => {
    const other = await client.user({ external_id: 'resolved one' });
    await client.add(other, 'list');
    const users = ['ext:resolved one', '999999', String(user), String(other), 'ext:nobody', String(user)];
    const ofUser = { user: String(user), segments: ['everybody'] };
    const segments = ['everybody', 'in-list', 'list'];
    expect((await resolve({ users })).body).toEqual({
      results: [
        { user: 'ext:resolved one', segments },
        { user: '999999', segments: null },
        ofUser,
        { user: String(other), segments },
        { user: 'ext:nobody', segments: null },
        ofUser,
      ],
    });
  });

  it('narrows to the segments asked for', async () => {
    await client.add(user, 'list');
    const narrowed = await resolve({ users: [String(user), '999999'], segments: ['pro', 'list', 'no-such'] });
    expect(narrowed.body.results.map(({ segments }: { segments: string[] }) => segments)).toEqual([['list'], null]);
    expect((await resolve({ users: [String(user)], segments: [] })).body.results[0].segments).toEqual([]);
  });

  it('takes a thousand users and no more', async () => {
    const users = Array<string>(1_000).fill(String(user));
    const { body } = await resolve({ users });
    expect(body.results).toHaveLength(1_000);
    expect(body.results[999]).toEqual({ user: String(user), segments: ['everybody'] });
    expect((await resolve({ users: [...users, '1'] })).status).toBe(400);
    expect((await resolve({ users: [] })).body).toEqual({ results: [] });
  });

  it.each([
    { users: ['0'] },
    { users: ['ext:'] },
    { users: [7] },
    { users: ['1e3'] },
    { users: '1' },
    {},
    { users: ['1'], segments: ['no slug'] },
    { users: ['1'], segments: null },
    { users: ['1'], segment: ['list'] },
  ])('refuses %j', async (body) => {
    expect((await resolve(body)).status).toBe(400);
  });
});

it('a definition that changes is seen by the next read', async () => {
  await client.segment('changing', { percentage: 0 });
  for (let i = 0; i < 10; i++) {
    expect(await client.segmentsOf(user)).not.toContain('changing');
    await client.call('PATCH', '/api/segments/changing', { percentage: 100 });
    expect(await client.segmentsOf(user)).toContain('changing');
    await client.call('PATCH', '/api/segments/changing', { percentage: 0 });
  }
  await client.call('DELETE', '/api/segments/changing');
});

it('history names the actor of a change: a session, a key, none in evaluation mode, the clock', async () => {
  const { body: key } = await client.call('POST', '/api/keys', { name: 'k', role: 'editor' });
  const editor = await service.account('history-editor', 'editor');
  const add = (token: string | undefined, expiry: object) =>
    service.call('POST', `/api/users/${user}/segments`, { token, body: { slug: 'list', ...expiry } });
  await add(undefined, {});
  await add(key.key, { ttl: 100 });
  await add(editor.token, { ttl: 60 });
  await letPass(service.db, user, 90);
  const events = await client.all(`/api/users/${user}/history`, 'events');
  expect(events.map(({ actor }) => actor)).toEqual(['system', `user:${editor.id}`, `key:${key.id}`, 'anonymous']);
});

it('a failed call leaves nothing half done', async () => {
  const counts = () =>
    service.db.query(sql`SELECT (SELECT count(*) FROM history) AS history, (SELECT count(*) FROM memberships) AS memberships,
      (SELECT count(*) FROM users) AS users, (SELECT count(*) FROM user_keys) AS keys`);
  const before = await counts();
  await client.patch('ext:half', { add: ['list', 'no-such'] });
  await client.put('ext:half', 'no-such', { mode: 'include' });
  await client.add('ext:half', 'list', { expires_at: '2020-01-01T00:00:00Z' });
  expect(await counts()).toEqual(before);
});

function bucketByTheBook(salt: string, key: string): number {
  const word = createHash('sha256').update(`${salt}:${key}`, 'utf8').digest().readUInt32BE(0);
  return (word / 2 ** 32) * 100;
}
