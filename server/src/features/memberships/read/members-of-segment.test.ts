import sql from 'sql-template-tag';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Client, clientOf } from '../../../../test/client.ts';
import { expectFold } from '../../../../test/fold.ts';
import { type Service, startService } from '../../../../test/service.ts';
import { letPass } from '../../../../test/time.ts';

let service: Service;
let client: Client;
/** Twelve users, every third on the plan `pro`; the admin is user 1. */
const users: number[] = [];
beforeAll(async () => {
  service = await startService();
  client = clientOf(service);
  for (let i = 0; i < 12; i++) {
    const attributes = { plan: i % 3 === 0 ? 'pro' : 'free', app: `1.${i}.0`, i };
    users.push(await client.user({ external_id: i % 2 ? `member-${i}` : null, name: `Member ${i}`, attributes }));
  }
});
afterAll(async () => {
  await expectFold(service.db);
  await service.stop();
});

const members = (slug: string, limit = 100) => client.all(`/api/segments/${slug}/users`, 'users', limit);
const count = async (slug: string) => (await client.get(`/api/segments/${slug}/count`)).count;
const at = (...places: number[]) => places.map((place) => users[place] ?? 0);
const idsOf = (found: { id: number }[]) => found.map(({ id }) => id);

describe('the members of a segment', () => {
  it('are shown with who they are, why, since when and until when', async () => {
    await client.segment('shown');
    const [first, second] = at(0, 1);
    const expires_at = new Date(Date.now() + 3_600_000).toISOString();
    await client.add(second ?? 0, 'shown', { expires_at });
    await client.add(first ?? 0, 'shown');
    const since = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    expect(await members('shown')).toEqual([
      { id: first, external_id: null, name: 'Member 0', source: 'include', since, expires_at: null },
      { id: second, external_id: 'member-1', name: 'Member 1', source: 'include', since, expires_at },
    ]);
    expect(await count('shown')).toBe(2);
  });

  it('of a condition for no per cent are those who were included', async () => {
    await client.segment('none-of-them', { condition: { plan: 'pro' }, percentage: 0 });
    expect([await members('none-of-them'), await count('none-of-them')]).toEqual([[], 0]);
    await client.put(users[1] ?? 0, 'none-of-them', { mode: 'include' });
    expect(idsOf(await members('none-of-them'))).toEqual(at(1));
    expect(await count('none-of-them')).toBe(1);
  });

  // In SQL, and in process over a stream: both give the same answer.
  it.each([
    ['in SQL', { plan: 'pro' }],
    ['over a stream', { plan: { $regex: '^p\\pLo$' } }],
    ['of versions', { app: { $vgte: '1.0.0' }, plan: 'pro' }],
  ])('of a condition, %s, are those it matches, but for overrides', async (how, condition) => {
    const slug = how.replaceAll(' ', '-');
    await client.segment(slug, { condition });
    expect(idsOf(await members(slug))).toEqual(at(0, 3, 6, 9));
    await client.put(users[3] ?? 0, slug, { mode: 'exclude' });
    await client.put(users[4] ?? 0, slug, { mode: 'include', ttl: 60 });
    await client.put(users[6] ?? 0, slug, { mode: 'include' });
    await client.put(users[9] ?? 0, slug, { mode: 'exclude', ttl: 60 });
    const found = await members(slug);
    expect(found.map(({ id, source }) => [id, source])).toEqual([
      [users[0], 'condition'],
      [users[4], 'include'],
      [users[6], 'include'],
    ]);
    expect(found.map(({ since, expires_at }) => [since !== null, expires_at !== null])).toEqual([
      [false, false],
      [true, true],
      [true, false],
    ]);
    for (const limit of [1, 2, 3]) expect(await members(slug, limit)).toEqual(found);
    expect(await count(slug)).toBe(3);
    for (const user of at(4, 9)) await letPass(service.db, user, 90);
    expect(idsOf(await members(slug))).toEqual(at(0, 6, 9));
    expect(await count(slug)).toBe(3);
  });

  it('come page by page, by id, and untouched ones are neither skipped nor repeated while others write', async () => {
    for (const [slug, definition] of [
      ['paged-list', {}],
      ['paged-sql', { condition: { i: { $gte: 0 } } }],
      ['paged-stream', { condition: { app: { $regex: '^\\pN' } } }],
    ] as const) {
      await client.segment(slug, definition);
      for (const user of users) await client.add(user, slug);
      const seen: number[] = [];
      let cursor = '';
      for (let page = 0; ; page++) {
        const answer = await client.get(`/api/segments/${slug}/users?limit=4${cursor}`);
        seen.push(...idsOf(answer.users));
        if (answer.next_cursor === null) break;
        cursor = `&cursor=${answer.next_cursor}`;
        await client.remove(seen.at(-1) ?? 0, slug);
        if (page === 0) await client.remove(users[5] ?? 0, slug);
        await client.add(seen[0] ?? 0, slug, { ttl: 60 });
      }
      expect(seen).toEqual(users.filter((user) => user !== users[5]));
    }
  });

  it.each(['limit=0', 'limit=1001', 'cursor=x', 'offset=1'])('refuse ?%s', async (query) => {
    expect((await client.call('GET', `/api/segments/shown/users?${query}`)).status).toBe(400);
  });

  it('take no cursor of another segment', async () => {
    const { next_cursor } = await client.get('/api/segments/paged-list/users?limit=1');
    expect((await client.call('GET', `/api/segments/paged-sql/users?cursor=${next_cursor}`)).status).toBe(400);
    const tampered = `${next_cursor.slice(0, -2)}${next_cursor.endsWith('A') ? 'BB' : 'AA'}`;
    expect((await client.call('GET', `/api/segments/paged-list/users?cursor=${tampered}`)).status).toBe(400);
  });

  it('of an unknown segment are 404', async () => {
    for (const path of ['users', 'count']) {
      expect(await client.call('GET', `/api/segments/no-such/${path}`)).toMatchObject({
        status: 404,
        body: { code: 'segment_unknown' },
      });
    }
  });
});

describe('a percentage', () => {
  it('drops no one when raised, adds no one when lowered, and covers later users', async () => {
    await service.db.write(sql`
      WITH made AS (
        INSERT INTO users (external_id) SELECT 'many-' || i FROM generate_series(1, 2000) i RETURNING id, external_id
      )
      INSERT INTO user_keys (external_id, user_id) SELECT external_id, id FROM made`);
    await client.segment('share', { percentage: 0 });
    let before: number[] = [];
    for (const percentage of [0.5, 10, 33.333, 90, 100]) {
      await client.call('PATCH', '/api/segments/share', { percentage });
      const now = idsOf(await members('share', 1_000));
      expect(now).toEqual(expect.arrayContaining(before));
      expect(await count('share')).toBe(now.length);
      // Four standard deviations of a fair draw.
      const [n, p] = [2_013, percentage / 100];
      expect(Math.abs(now.length - n * p)).toBeLessThanOrEqual(4 * Math.sqrt(n * p * (1 - p)));
      before = now;
    }
    const late = await client.user();
    expect(await client.segmentsOf(late)).toContain('share');
    expect(await count('share')).toBe(before.length + 1);
  });
});

describe('a preview', () => {
  const preview = async (rule: object) => (await client.call('POST', '/api/segments/preview', rule)).body;

  it('counts whom a definition would cover, of how many, with a few of them, and saves nothing', async () => {
    const found = await preview({ condition: { plan: 'pro' } });
    expect(found).toMatchObject({ count: 4, total: expect.any(Number) });
    expect(found.total).toBeGreaterThan(2_000);
    expect(idsOf(found.sample).sort((a, b) => a - b)).toEqual(at(0, 3, 6, 9));
    for (const user of found.sample) expect(user).toEqual(await client.get(`/api/users/${user.id}`));
    expect((await preview({ condition: { app: { $vgte: '1.6' } } })).count).toBe(6);
    expect((await preview({ condition: { app: { $vgte: '1.10' } } })).sample).toHaveLength(2);
    expect((await preview({ condition: {} })).sample).toHaveLength(10);
  });

  it('that is absent or null makes a plain list without members', async () => {
    for (const rule of [{}, { percentage: null, condition: null }, { percentage: 0 }]) {
      expect(await preview(rule)).toMatchObject({ count: 0, sample: [] });
    }
    const all = await preview({ percentage: 100 });
    expect(all.count).toBe(all.total);
  });

  it('follows the segments that the condition names, overrides included', async () => {
    await client.segment('previewed');
    for (const user of at(1, 2)) await client.add(user, 'previewed');
    expect((await preview({ condition: { $inSegment: 'previewed' } })).count).toBe(2);
    expect((await preview({ condition: { $notInSegment: 'previewed', i: { $lt: 4 } } })).count).toBe(2);
    expect((await preview({ condition: { $inSegment: 'previewed', app: { $regex: '1.1.' } } })).count).toBe(1);
  });

  it.each([
    [{ percentage: 0.0001 }, ['/body/percentage']],
    [{ condition: { a: { $foo: 1 } } }, ['/body/condition/a/$foo']],
    [{ condition: { $inSegment: 'no-such' } }, ['/body/condition/$inSegment']],
    [{ slug: 'x' }, ['/body/slug']],
  ])('refuses %j', async (rule, paths) => {
    const answer = await client.call('POST', '/api/segments/preview', rule);
    expect(answer.status).toBe(400);
    expect(answer.body.errors.map(({ path }: { path: string }) => path)).toEqual(paths);
  });
});

it('conditions too large for one statement are still answered', async () => {
  const wide = (seed: number) => ({
    $or: Array.from({ length: 240 }, (_, i) => ({
      [`a${seed}.b.c.d${i}`]: { $gt: i, $lt: -i, $ne: 'x' },
      plan: 'pro',
    })),
  });
  await client.segment('wide-base', { condition: { $or: [{ i: 3 }, wide(0)] } });
  let before = 'wide-base';
  for (let n = 1; n <= 4; n++) {
    await client.segment(`wide-${n}`, { condition: { $or: [{ $inSegment: before }, wide(n)] } });
    before = `wide-${n}`;
  }
  expect(await count(before)).toBe(1);
  expect(idsOf(await members(before))).toEqual(at(3));
});
