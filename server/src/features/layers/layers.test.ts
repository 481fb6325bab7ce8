import sql, { type Sql } from 'sql-template-tag';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Client, clientOf } from '../../../test/client.ts';
import { type Service, startService } from '../../../test/service.ts';
import { violatedConstraint } from '../../postgres/errors.ts';

let service: Service;
let client: Client;
beforeAll(async () => {
  service = await startService();
  client = clientOf(service);
});
afterAll(() => service.stop());

const call: Client['call'] = (...args) => client.call(...args);
const layer = (slug: string) => call('POST', '/api/layers', { slug });
const segment = (slug: string, range: object | null, rest = {}) =>
  call('POST', '/api/segments', { slug, layer: range, ...rest });

describe('layers', () => {
  it('are created, listed, read and deleted', async () => {
    expect(await layer('b')).toMatchObject({ status: 201, body: { id: expect.any(Number) } });
    const { id } = (await layer('a')).body;
    expect(await layer('a')).toMatchObject({ status: 409, body: { code: 'slug_taken' } });
    expect(await client.get('/api/layers/a')).toEqual({ id, slug: 'a', segments: [] });
    expect((await client.all('/api/layers', 'layers', 1)).map(({ slug }) => slug)).toEqual(['a', 'b']);
    expect((await call('DELETE', '/api/layers/a')).status).toBe(204);
    expect((await call('DELETE', '/api/layers/a')).status).toBe(404);
    expect(await call('GET', '/api/layers/a')).toMatchObject({ status: 404, body: { code: 'layer_unknown' } });
    expect((await layer('a')).status).toBe(201);
  });

  it('of one slug at once are one', async () => {
    const answers = await Promise.all(Array.from({ length: 20 }, () => layer('rushed')));
    expect(answers.map(({ status }) => status).sort()).toEqual([201, ...Array(19).fill(409)]);
  });

  it.each([{}, { slug: '' }, { slug: 'a b' }, { slug: 1 }, { slug: 'x', salt: 'y' }])('%j is refused', async (body) => {
    expect((await call('POST', '/api/layers', body)).status).toBe(400);
  });

  it('show the ranges that segments take, in their order', async () => {
    await layer('shown');
    await segment('shown-2', { slug: 'shown', from: 50, to: 100 });
    await segment('shown-1', { slug: 'shown', from: 0, to: 12.345 });
    expect((await client.get('/api/layers/shown')).segments).toEqual([
      { slug: 'shown-1', from: 0, to: 12.345 },
      { slug: 'shown-2', from: 50, to: 100 },
    ]);
    expect((await client.get('/api/segments/shown-1')).layer).toEqual({ slug: 'shown', from: 0, to: 12.345 });
    expect(await call('DELETE', '/api/layers/shown')).toMatchObject({
      status: 409,
      body: { code: 'layer_used', detail: expect.stringMatching(/shown-1, shown-2/) },
    });
    await call('DELETE', '/api/segments/shown-1');
    await call('PATCH', '/api/segments/shown-2', { layer: null });
    expect((await call('DELETE', '/api/layers/shown')).status).toBe(204);
  });
});

describe('ranges of one layer never overlap', () => {
  it('the segment that is in the way is named', async () => {
    await layer('one');
    await layer('other');
    await segment('one-a', { slug: 'one', from: 0, to: 30 });
    await segment('one-b', { slug: 'one', from: 30, to: 60.5 });
    const answer = await segment('one-c', { slug: 'one', from: 29.999, to: 100 });
    expect(answer).toMatchObject({ status: 409, body: { code: 'layer_overlap' } });
    expect(answer.body.detail).toMatch(/one-a.*one-b/);
    expect((await segment('one-c', { slug: 'one', from: 60.5, to: 100 })).status).toBe(200);
    expect((await segment('other-a', { slug: 'other', from: 0, to: 100 })).status).toBe(200);
    const moved = await call('PATCH', '/api/segments/one-a', { layer: { slug: 'other', from: 0, to: 30 } });
    expect(moved).toMatchObject({ status: 409, body: { code: 'layer_overlap' } });
    expect((await call('PATCH', '/api/segments/one-a', { layer: { slug: 'one', from: 1, to: 30 } })).status).toBe(200);
    await call('DELETE', '/api/segments/one-b');
    expect((await segment('one-d', { slug: 'one', from: 30, to: 60.5 })).status).toBe(200);
  });

  it('also when many come at once', async () => {
    await layer('race');
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, i) =>
        segment(`race-${i}`, { slug: 'race', from: (i % 4) * 25, to: (i % 4) * 25 + 25 }),
      ),
    );
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 200, 200, 200, ...Array(16).fill(409)]);
  });

  it('and the database refuses what the service would let through', async () => {
    await layer('held');
    await segment('held-a', { slug: 'held', from: 0, to: 50 });
    await segment('held-b', { slug: 'held', from: 50, to: 100 });
    const violated = (change: Sql) => service.db.write(change).then(() => undefined, violatedConstraint);
    expect(await violated(sql`UPDATE segments SET layer_from = 49.999 WHERE slug = 'held-b'`)).toBe(
      'segments_layer_overlap',
    );
    expect(await violated(sql`UPDATE segments SET percentage = 1 WHERE slug = 'held-b'`)).toBe('segments_one_share');
  });
});

it.each([
  [{ slug: 'nowhere', from: 0, to: 1 }, '/body/layer/slug'],
  [{ slug: 'bad', from: 1, to: 1 }, '/body/layer/to'],
  [{ slug: 'bad', from: 2, to: 1 }, '/body/layer/to'],
  [{ slug: 'bad', from: 0, to: 100.001 }, '/body/layer/to'],
  [{ slug: 'bad', from: -1, to: 1 }, '/body/layer/from'],
  [{ slug: 'bad', from: 0.0001, to: 1 }, '/body/layer/from'],
  [{ slug: 'bad', from: 0 }, '/body/layer'],
  ['bad', '/body/layer'],
])('refuses the range %j at %s', async (range, path) => {
  await layer('bad');
  const { status, body } = await call('POST', '/api/segments', { slug: 'refused', layer: range });
  expect(status).toBe(400);
  expect(body.errors.map((one: { path: string }) => one.path)).toContain(path);
});

it('no user is in two segments of a layer, and every user is in one where all of it is taken', async () => {
  await layer('full');
  await segment('full-a', { slug: 'full', from: 0, to: 20 });
  await segment('full-b', { slug: 'full', from: 20, to: 100 }, { condition: { n: { $gte: 0 } } });
  for (let n = 0; n < 60; n++) await client.user({ external_id: `layered-${n}`, attributes: { n } });
  const taken = await Promise.all(
    Array.from({ length: 60 }, async (_, n) =>
      (await client.segmentsOf(`ext:layered-${n}`)).filter((slug) => slug.startsWith('full-')),
    ),
  );
  expect(taken.filter((slugs) => slugs.length !== 1)).toEqual([]);
  expect(new Set(taken.flat())).toEqual(new Set(['full-a', 'full-b']));
  const why = await client.why('ext:layered-1', taken[1]?.[0] ?? '');
  expect(why).toMatchObject({ member: true, percentage: null, bucket: expect.any(Number) });
});
