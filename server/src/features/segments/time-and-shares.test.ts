import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Client, clientOf } from '../../../test/client.ts';
import { type Service, startService } from '../../../test/service.ts';
import { bucket } from '../../segmentation/bucket.ts';

let service: Service;
let client: Client;
beforeAll(async () => {
  service = await startService();
  client = clientOf(service);
});
afterAll(() => service.stop());

const create = (body: object) => client.call('POST', '/api/segments', body);
const change = (slug: string, body: object) => client.call('PATCH', `/api/segments/${slug}`, body);
const count = async (slug: string) => (await client.get(`/api/segments/${slug}/count`)).count;
const inMs = (ms: number) => new Date(Date.now() + ms).toISOString();
const slugsAt = async (user: string, at: string) => (await client.get(`/api/users/${user}/segments?at=${at}`)).segments;

describe('the fields', () => {
  it('are kept, answered in UTC, cleared by null, and told in the history', async () => {
    const given = {
      slug: 'kept',
      bucket_by: 'company.id',
      ramp: { from: 0.5, to: 99.999, starts_at: '2026-12-01T00:00:00+02:00', ends_at: '2026-12-02T00:00:00.1234Z' },
      active_from: '2026-11-30T12:00:00.5+01:00',
      active_until: '2027-01-01T00:00:00Z',
    };
    expect((await create(given)).status).toBe(200);
    const kept = {
      bucket_by: 'company.id',
      percentage: null,
      layer: null,
      ramp: { from: 0.5, to: 99.999, starts_at: '2026-11-30T22:00:00.000Z', ends_at: '2026-12-02T00:00:00.123Z' },
      active_from: '2026-11-30T11:00:00.500Z',
      active_until: '2027-01-01T00:00:00.000Z',
    };
    expect(await client.get('/api/segments/kept')).toMatchObject({ ...kept, version: 1 });
    expect((await change('kept', { ramp: given.ramp, active_from: given.active_from })).body.version).toBe(1);
    expect((await change('kept', { ramp: null, percentage: 5, active_until: null })).body).toMatchObject({
      ...kept,
      ramp: null,
      percentage: 5,
      active_until: null,
      version: 2,
    });
    const { events } = await client.get('/api/segments/kept/history');
    expect(events[0].before).toMatchObject(kept);
    expect(events[0].after).toMatchObject({ ramp: null, percentage: 5, active_until: null });
  });

  const ramp = { from: 0, to: 100, starts_at: '2026-12-01T00:00:00Z', ends_at: '2026-12-02T00:00:00Z' };
  it.each<[object, string]>([
    [{ ramp, percentage: 5 }, '/body/ramp'],
    [{ ramp: { ...ramp, ends_at: ramp.starts_at } }, '/body/ramp/ends_at'],
    [{ ramp: { ...ramp, ends_at: '2026-11-30T00:00:00Z' } }, '/body/ramp/ends_at'],
    [{ ramp: { ...ramp, starts_at: '2026-11-31T00:00:00Z' } }, '/body/ramp/starts_at'],
    [{ ramp: { ...ramp, to: 100.001 } }, '/body/ramp/to'],
    [{ ramp: { ...ramp, from: 0.0001 } }, '/body/ramp/from'],
    [{ ramp: { from: 0, to: 1 } }, '/body/ramp'],
    [{ ramp: { ...ramp, step: 1 } }, '/body/ramp/step'],
    [{ active_from: '2026-12-01T00:00:00Z', active_until: '2026-12-01T00:00:00Z' }, '/body/active_until'],
    [{ active_from: '2026-12-01T00:00:00Z', active_until: '2026-11-01T00:00:00Z' }, '/body/active_until'],
    [{ active_from: '2026-12-01' }, '/body/active_from'],
    [{ active_until: 'now' }, '/body/active_until'],
    [{ bucket_by: '' }, '/body/bucket_by'],
    [{ bucket_by: 'a..b' }, '/body/bucket_by'],
    [{ bucket_by: '.a' }, '/body/bucket_by'],
    [{ bucket_by: '$a' }, '/body/bucket_by'],
    [{ bucket_by: 'a.__proto__' }, '/body/bucket_by'],
    [{ bucket_by: 'a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q' }, '/body/bucket_by'],
    [{ bucket_by: 1 }, '/body/bucket_by'],
    [{ condition: { a: { $after: 'now-7' } } }, '/body/condition/a/$after'],
    [{ condition: { a: { $after: 'now-7y' } } }, '/body/condition/a/$after'],
    [{ condition: { a: { $before: '2026-02-29' } } }, '/body/condition/a/$before'],
    [{ condition: { a: { $before: 1 } } }, '/body/condition/a/$before'],
    [{ condition: { a: { $mod: [0, 1] } } }, '/body/condition/a/$mod'],
    [{ condition: { a: { $mod: [4] } } }, '/body/condition/a/$mod'],
    [{ condition: { a: { $type: 'long' } } }, '/body/condition/a/$type'],
    [{ condition: { a: { $ini: [['x']] } } }, '/body/condition/a/$ini/0'],
  ])('%j is refused at %s', async (body, path) => {
    for (const answer of [
      await create({ slug: 'refused', ...body }),
      await client.call('POST', '/api/segments/preview', body),
      await change('kept', body),
    ]) {
      expect(answer.status).toBe(400);
      expect(answer.body.errors.map((one: { path: string }) => one.path)).toContain(path);
    }
    expect((await client.call('GET', '/api/segments/refused')).status).toBe(404);
  });

  it('are checked together with what the segment has', async () => {
    await create({ slug: 'merged', percentage: 5, active_from: '2026-12-01T00:00:00Z' });
    const paths = async (body: object) =>
      (await change('merged', body)).body.errors?.map((e: { path: string }) => e.path);
    expect(await paths({ ramp })).toEqual(['/body/ramp']);
    expect(await paths({ active_until: '2026-11-01T00:00:00Z' })).toEqual(['/body/active_until']);
    expect((await change('merged', { ramp, percentage: null })).status).toBe(200);
  });
});

describe('bucket_by', () => {
  it('treats users with the same text or number alike, and leaves out those who have neither', async () => {
    await create({ slug: 'by-company', percentage: 50, bucket_by: 'company.id' });
    const { salt } = await client.get('/api/segments/by-company');
    const ids = ['acme', '', 'größe', 1, 1.5, 1e21, 1e-7, -0.5];
    for (const [i, id] of ids.entries()) {
      for (const user of ['a', 'b'])
        await client.user({ external_id: `by-${i}-${user}`, attributes: { company: { id } } });
      const expected = bucket(salt, typeof id === 'string' ? id : JSON.stringify(id));
      for (const user of ['a', 'b']) {
        const why = await client.why(`ext:by-${i}-${user}`, 'by-company');
        expect(why).toMatchObject({ member: expected < 50, bucket: expected, percentage: 50 });
      }
    }
    const odd = [
      {},
      { company: 'acme' },
      { company: { id: null } },
      { company: { id: ['acme'] } },
      { company: [{ id: 'acme' }] },
    ];
    for (const [i, attributes] of odd.entries()) {
      await client.user({ external_id: `odd-${i}`, attributes });
      expect(await client.why(`ext:odd-${i}`, 'by-company')).toMatchObject({
        member: false,
        source: 'none',
        bucket: null,
      });
    }
    const page = await client.all('/api/segments/by-company/users', 'users');
    const expected = ids.filter((id) => bucket(salt, typeof id === 'string' ? id : JSON.stringify(id)) < 50).length * 2;
    expect(page).toHaveLength(expected);
    expect(await count('by-company')).toBe(expected);
  });

  it('does so beside a condition that is decided in process', async () => {
    const condition = { version: { $vgte: '2.0.0' } };
    await create({ slug: 'by-team', percentage: 100, bucket_by: 'team.id', condition });
    await client.user({ external_id: 'in', attributes: { team: { id: 'a' }, version: '2.1.0' } });
    await client.user({ external_id: 'old', attributes: { team: { id: 'a' }, version: '1.9.0' } });
    await client.user({ external_id: 'teamless', attributes: { version: '2.1.0' } });
    const page = await client.all('/api/segments/by-team/users', 'users');
    expect(page.map(({ external_id }) => external_id)).toEqual(['in']);
    expect(await count('by-team')).toBe(1);
  });
});

describe('a start and an end', () => {
  it('keep everybody out, whatever else says so', async () => {
    const user = await client.user();
    const always = { percentage: 100 };
    await create({ slug: 'future', ...always, active_from: inMs(3_600_000) });
    await create({ slug: 'over', ...always, active_until: '2020-01-01T00:00:00Z' });
    await create({ slug: 'running', ...always, active_from: '2020-01-01T00:00:00Z', active_until: inMs(3_600_000) });
    await create({ slug: 'future-list', active_from: inMs(3_600_000) });
    await create({ slug: 'names-them', condition: { $or: [{ $inSegment: 'future' }, { $inSegment: 'future-list' }] } });
    await create({ slug: 'names-none', condition: { $notInSegment: 'over' } });
    for (const slug of ['future', 'over', 'future-list']) await client.put(user, slug, { mode: 'include' });
    const mine = (await client.segmentsOf(user)).filter((slug) => /^(future|over|running|names)/.test(slug));
    expect(mine).toEqual(['names-none', 'running']);
    for (const slug of ['future', 'over', 'future-list']) {
      expect(await client.why(user, slug)).toMatchObject({ member: false, source: 'none' });
      expect(await client.all(`/api/segments/${slug}/users`, 'users')).toEqual([]);
      expect(await count(slug)).toBe(0);
    }
    expect(await count('names-them')).toBe(0);
    await change('future-list', { active_from: '2020-01-01T00:00:00Z' });
    expect(await client.segmentsOf(user)).toContain('future-list');
  });

  it('take effect at their moment, with nothing written, and ?at= knows which', async () => {
    const user = `${await client.user()}`;
    let [from, until] = ['', ''];
    let slug = '';
    // It has to be written before it begins, which takes a busy machine longer.
    for (let aheadMs = 300; Date.now() >= Date.parse(from || inMs(0)); aheadMs *= 2) {
      [slug, from, until] = [`brief-${aheadMs}`, inMs(aheadMs), inMs(aheadMs + 300)];
      await create({ slug, percentage: 100, active_from: from, active_until: until });
    }
    const reads: { begun: number; isIn: boolean; ended: number }[] = [];
    do {
      const begun = Date.now();
      const isIn = (await client.segmentsOf(user)).includes(slug);
      reads.push({ begun, isIn, ended: Date.now() });
    } while ((reads.at(-1)?.begun ?? 0) < Date.parse(until));
    for (const { begun, isIn, ended } of reads) {
      const places = [begun, ended].map((time) => time >= Date.parse(from) && time < Date.parse(until));
      const isWithinOne = ended < Date.parse(from) || begun >= Date.parse(until) || places.every(Boolean);
      // One that spans a moment may answer either.
      if (isWithinOne) expect(isIn).toBe(places[0]);
    }
    const at = async (time: string, ms: number) =>
      (await slugsAt(user, new Date(Date.parse(time) + ms).toISOString())).includes(slug);
    expect([await at(from, -1), await at(from, 0), await at(until, -1), await at(until, 0)]).toEqual([
      false,
      true,
      true,
      false,
    ]);
  });
});

describe('a ramp', () => {
  it('lets each user in at the moment of their bucket, and every way to ask agrees', async () => {
    const [starts_at, ends_at] = [inMs(0), inMs(400)];
    await create({ slug: 'quick', ramp: { from: 0, to: 100, starts_at, ends_at } });
    const { salt } = await client.get('/api/segments/quick');
    const users = await Promise.all(
      Array.from({ length: 20 }, (_, i) => client.user({ external_id: `quick-${i}` }).then(() => `quick-${i}`)),
    );
    const isIn = async (user: string) => (await client.segmentsOf(`ext:${user}`)).includes('quick');
    for (const user of users) await isIn(user);
    await expect.poll(async () => (await Promise.all(users.map(isIn))).every(Boolean), { interval: 20 }).toBe(true);
    expect(await client.why('ext:quick-1', 'quick')).toMatchObject({
      member: true,
      source: 'percentage',
      percentage: expect.any(Number),
    });
    await change('quick', {
      ramp: { from: 0, to: 100, starts_at: '1970-01-01T00:00:00Z', ends_at: '2100-01-01T00:00:00Z' },
    });
    const { percentage } = await client.why('ext:quick-1', 'quick');
    expect(percentage).toBeGreaterThan(43);
    const expected = users.filter((user) => bucket(salt, user) < percentage);
    const found = (await client.all('/api/segments/quick/users', 'users')).map(({ external_id }) => external_id);
    expect(found.filter((id) => users.includes(id)).sort()).toEqual(expected.sort());
    expect(await count('quick')).toBe(found.length);
    const preview = await client.call('POST', '/api/segments/preview', {
      ramp: { from: 100, to: 0, starts_at: '2100-01-01T00:00:00Z', ends_at: '2101-01-01T00:00:00Z' },
    });
    expect(preview.body.count).toBe(preview.body.total);
  });
});

describe('relative times', () => {
  it('move with the moment of the read, and what was cached does not outlive them', async () => {
    await create({ slug: 'lately', condition: { seen: { $after: 'now-1h' } } });
    await create({ slug: 'not-lately', condition: { seen: { $not: { $after: 'now-1h' } } } });
    let [user, moment, before] = ['', 0, ['']];
    const mine = async () => (await client.segmentsOf(user)).filter((slug) => slug.endsWith('lately'));
    // It has to be read before that moment, which takes a busy machine longer.
    for (let aheadMs = 1_000; Date.now() >= moment; aheadMs *= 2) {
      moment = Date.now() + aheadMs;
      const seen = new Date(moment - 3_600_000).toISOString();
      user = `${await client.user({ attributes: { seen } })}`;
      before = await mine();
    }
    expect(before).toEqual(['lately']);
    await expect.poll(mine, { interval: 5 }).toEqual(['not-lately']);
    const at = async (ms: number) =>
      (await slugsAt(user, new Date(moment + ms).toISOString())).filter((slug: string) => slug.endsWith('lately'));
    expect([await at(-1), await at(0)]).toEqual([['lately'], ['not-lately']]);
    expect(await count('lately')).toBe(0);
  });
});
