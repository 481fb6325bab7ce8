import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Client, clientOf } from '../../../../test/client.ts';
import { type Service, startService } from '../../../../test/service.ts';
import { letPass } from '../../../../test/time.ts';

let service: Service;
let client: Client;
const USERS = 40;
/** More names than one statement may join: decided in process. */
const MANY = Array.from({ length: 30 }, (_, i) => `part-${i}`);

beforeAll(async () => {
  service = await startService();
  client = clientOf(service);
  await client.segment('list');
  await client.segment('other');
  await client.segment('half', { percentage: 50 });
  await client.segment('rule', { condition: { n: { $gte: 10 } } });
  await client.segment('both', { percentage: 60, condition: { $or: [{ $inSegment: 'list' }, { n: { $lt: 20 } }] } });
  for (const slug of MANY) await client.segment(slug);
  await client.segment('wide', {
    condition: { $or: [...MANY.map((slug) => ({ $inSegment: slug })), { n: { $gt: 30 } }] },
  });
  for (let n = 0; n < USERS; n++) {
    const user = await client.user({ external_id: `user ${n}`, attributes: { n } });
    if (n % 2 === 0) await client.add(user, 'list');
    if (n % 3 === 0) await client.add(user, 'other');
    if (n % 7 === 0) await client.put(user, 'rule', { mode: n % 2 ? 'include' : 'exclude' });
    if (n % 11 === 0) await client.put(user, 'half', { mode: 'exclude' });
    if (n === 4) await client.add(user, 'part-3');
  }
  const gone = await client.user();
  await client.add(gone, 'other', { ttl: 60 });
  await letPass(service.db, gone, 90);
});
afterAll(() => service.stop());

async function membersOf(slug: string): Promise<Set<number>> {
  return new Set((await client.all(`/api/segments/${slug}/users`, 'users')).map(({ id }) => id));
}
const shared = (a: Set<number>, b: Set<number>) => a.intersection(b);

describe('the overlap of segments', () => {
  const overlap = (segments: string[]) => client.call('POST', '/api/segments/overlap', { segments });

  it.each([
    [['list', 'other']],
    [['other', 'list', 'part-3']],
    [['half', 'rule']],
    [['both', 'list', 'half', 'rule']],
    [['wide', 'list', 'both']],
    [['wide', 'other', 'half', 'rule', 'both', 'list', 'part-1', 'part-2', 'part-3', 'part-4']],
  ])('%j is what their members say', async (slugs) => {
    const members = await Promise.all(slugs.map(membersOf));
    const { status, body } = await overlap(slugs);
    expect(status).toBe(200);
    expect(body.counts).toEqual(Object.fromEntries(slugs.map((slug, i) => [slug, members[i]?.size])));
    const pairs = slugs.flatMap((a, i) =>
      slugs
        .slice(i + 1)
        .map((b, j) => ({ a, b, both: shared(members[i] ?? new Set(), members[i + 1 + j] ?? new Set()).size })),
    );
    expect(body.pairs).toEqual(pairs);
    expect(body.all).toBe(members.reduce(shared).size);
    expect(body.any).toBe(members.reduce((a, b) => a.union(b)).size);
  });

  it('of empty lists is nothing', async () => {
    expect((await overlap(['part-1', 'part-2'])).body).toEqual({
      counts: { 'part-1': 0, 'part-2': 0 },
      pairs: [{ a: 'part-1', b: 'part-2', both: 0 }],
      all: 0,
      any: 0,
    });
  });

  it('is refused for one, for eleven, for the same twice and for unknown ones', async () => {
    expect((await overlap(['list'])).status).toBe(400);
    expect((await overlap(MANY.slice(0, 11))).status).toBe(400);
    expect((await overlap(['list', 'rule', 'list'])).body.errors).toEqual([
      { path: '/body/segments/2', message: 'names a segment twice' },
    ]);
    const { status, body } = await overlap(['list', 'no-such', 'nor-this']);
    expect([status, body.code]).toEqual([404, 'segment_unknown']);
    expect(body.detail).toMatch(/no-such.*nor-this/);
  });
});

describe('the preview of a change', () => {
  const preview = (slug: string, change: object) => client.call('POST', `/api/segments/${slug}/preview`, change);

  it.each([
    ['half', { percentage: 80 }],
    ['half', { percentage: 10 }],
    ['half', { percentage: null }],
    ['half', { condition: { n: { $lt: 20 } } }],
    ['rule', { condition: { n: { $lt: 12 } } }],
    ['rule', { percentage: 30 }],
    ['rule', { condition: null }],
    ['both', { condition: { $inSegment: 'rule' } }],
    ['list', { percentage: 100 }],
    ['wide', { condition: { n: { $gt: 35 } } }],
    ['rule', { condition: { $inSegment: 'wide' } }],
    ['rule', {}],
  ])('of %s by %j is what then comes of it', async (slug, change) => {
    const before = await membersOf(slug);
    const { status, body } = await preview(slug, change);
    expect(status).toBe(200);
    expect(await membersOf(slug)).toEqual(before);

    const { percentage, condition } = await client.get(`/api/segments/${slug}`);
    await client.call('PATCH', `/api/segments/${slug}`, change);
    const after = await membersOf(slug);
    await client.call('PATCH', `/api/segments/${slug}`, { percentage, condition });

    const [entering, leaving] = [after.difference(before), before.difference(after)];
    expect(body).toMatchObject({ count: after.size, total: USERS + 2, entering: entering.size, leaving: leaving.size });
    for (const [sample, all] of [
      [body.sample_entering, entering],
      [body.sample_leaving, leaving],
    ]) {
      const ids: number[] = sample.map(({ id }: { id: number }) => id);
      expect(new Set(ids).size).toBe(Math.min(10, all.size));
      expect(ids.filter((id) => !all.has(id))).toEqual([]);
    }
  });

  it('refuses what the change itself would refuse', async () => {
    expect((await preview('rule', { percentage: 101 })).status).toBe(400);
    expect((await preview('rule', { condition: { $nope: 1 } })).status).toBe(400);
    expect((await preview('no-such', { percentage: 1 })).body.code).toBe('segment_unknown');
    const change = { condition: { $or: [{ n: 1 }, { $inSegment: 'both' }] } };
    const refused = await preview('list', change);
    expect(refused.status).toBe(400);
    const saved = await client.call('PATCH', '/api/segments/list', change);
    expect(refused.body.errors).toEqual(saved.body.errors);
  });

  it('warns of attributes that no user has', async () => {
    expect((await preview('rule', { condition: { m: 1 } })).body.warnings).toEqual([
      { path: '/body/condition/m', message: 'no user has the attribute m' },
    ]);
  });
});
