import sql from 'sql-template-tag';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { type Client, clientOf } from '../../../test/client.ts';
import { type Service, startService } from '../../../test/service.ts';
import { createDefinitionCache, freshDefinitions } from '../segments/definitions.ts';
import { measureSizes } from './measure.ts';
import { thinSizes } from './sizes.sql.ts';
import { spread } from './sizes.ts';

let service: Service;
let client: Client;
beforeAll(async () => {
  service = await startService();
  client = clientOf(service);
});
afterAll(() => service.stop());

let slug: string;
let n = 0;
beforeEach(() => {
  slug = `segment-${n++}`;
});

const HOUR = 3_600_000;
/** Ten hours ago, on the hour of nothing in particular. */
const start = Date.now() - 10 * HOUR;
const at = (hours: number) => new Date(start + hours * HOUR).toISOString();
const sizes = async (query = '') => (await client.get(`/api/segments/${slug}/sizes${query}`)).points;

/** As if the segment had been created, and the user had come and gone, at these hours. */
async function history(events: readonly [user: number, op: string, hours: number, expires?: number][]): Promise<void> {
  const id = await client.segment(slug);
  await service.db.write(sql`UPDATE segment_versions SET at = ${at(0)} WHERE segment_id = ${id}`);
  for (const [user, op, hours, expires] of events) {
    await service.db.write(sql`
      INSERT INTO history (user_id, segment_id, op, mode, at, expires_at, actor)
      VALUES (${user}, ${id}, ${op}, 'include', ${at(hours)}, ${expires === undefined ? null : at(expires)}, 'user:1')`);
  }
}

it('of a list are exact at every point, expiries and returns included', async () => {
  await history([
    [10, 'add', 1],
    [11, 'add', 2, 4],
    [12, 'add', 3],
    [12, 'update', 4, 6],
    [12, 'expire', 6],
    [10, 'remove', 5],
    [10, 'add', 7],
  ]);
  const points = await sizes(`?from=${at(0)}&to=${at(8)}&points=9`);
  expect(points).toEqual([0, 1, 2, 3, 2, 1, 0, 1, 1].map((count, hour) => ({ at: at(hour), count })));
  // What happens at a point counts there; a millisecond before, it has not.
  const [before, after] = [new Date(start + 3 * HOUR - 1).toISOString(), at(3)];
  expect(await sizes(`?from=${before}&to=${after}&points=2`)).toEqual([
    { at: before, count: 2 },
    { at: after, count: 3 },
  ]);
});

it('of a list end with what it counts now', async () => {
  await client.segment(slug);
  const users = [await client.user(), await client.user(), await client.user()];
  for (const user of users) await client.add(user, slug);
  await client.remove(users[0] ?? 0, slug);
  await client.put(users[1] ?? 0, slug, { mode: 'exclude' });
  const points = await sizes();
  expect(points.length).toBeLessThanOrEqual(60);
  expect(points.at(-1).count).toBe((await client.get(`/api/segments/${slug}/count`)).count);
});

it('begin with the segment, however early they are asked for', async () => {
  await history([[10, 'add', 1]]);
  const points = await sizes(`?from=2020-01-01T00:00:00Z&to=${at(2)}&points=3`);
  expect(points).toEqual([
    { at: at(0), count: 0 },
    { at: at(1), count: 1 },
    { at: at(2), count: 1 },
  ]);
  expect(await sizes(`?from=2020-01-01T00:00:00Z&to=2020-01-02T00:00:00Z`)).toEqual([]);
});

it('of a rule are what was measured, thinned to so many points, and the exact number now', async () => {
  const user = await client.user({ attributes: { sized: slug } });
  const id = await client.segment(slug, { condition: { sized: slug } });
  await service.db.write(sql`UPDATE segment_versions SET at = ${at(0)} WHERE segment_id = ${id}`);
  for (let hour = 1; hour <= 8; hour++) {
    await service.db.write(sql`INSERT INTO segment_sizes (segment_id, at, count) VALUES (${id}, ${at(hour)}, ${hour})`);
  }
  expect(await sizes(`?from=${at(2)}&to=${at(5)}`)).toEqual([2, 3, 4].map((hour) => ({ at: at(hour), count: hour })));
  const points = await sizes(`?from=${at(0)}&points=4`);
  expect(points).toHaveLength(4);
  expect(points.at(-1).count).toBe(1);
  await client.call('DELETE', `/api/users/${user}`);
  expect((await sizes()).at(-1).count).toBe(0);
});

it('of a rule that became a list go over from the one to the other', async () => {
  const id = await client.segment(slug, { percentage: 10 });
  await client.call('PATCH', `/api/segments/${slug}`, { percentage: null });
  await service.db.write(sql`UPDATE segment_versions SET at = ${at(0)} WHERE segment_id = ${id} AND version = 1`);
  await service.db.write(sql`UPDATE segment_versions SET at = ${at(3)} WHERE segment_id = ${id} AND version = 2`);
  for (const hour of [1, 4]) {
    await service.db.write(sql`INSERT INTO segment_sizes (segment_id, at, count) VALUES (${id}, ${at(hour)}, 77)`);
  }
  await service.db.write(sql`
    INSERT INTO history (user_id, segment_id, op, mode, at, actor) VALUES (10, ${id}, 'add', 'include', ${at(2)}, 'user:1')`);
  expect(await sizes(`?from=${at(0)}&to=${at(5)}&points=5`)).toEqual([
    { at: at(1), count: 77 },
    { at: at(3), count: 1 },
    { at: at(5), count: 1 },
  ]);
});

it.each([
  'from=yesterday',
  'points=1',
  'points=501',
  'points=x',
  `from=${at(2)}&to=${at(2)}`,
  'from=2999-01-01T00:00:00Z',
  'step=1',
])('are refused for ?%s', async (query) => {
  await client.segment(slug);
  expect((await client.call('GET', `/api/segments/${slug}/sizes?${query}`)).status).toBe(400);
});

it('of an unknown segment are 404', async () => {
  expect((await client.call('GET', '/api/segments/no-such/sizes')).body.code).toBe('segment_unknown');
});

it('are measured for rules, those first that were left out the last time', async () => {
  const ids = [
    await client.segment(`${slug}-a`, { percentage: 100 }),
    await client.segment(`${slug}-b`, { percentage: 0 }),
  ];
  const context = { db: service.db, definitions: createDefinitionCache(service.db) };
  const measured = async () =>
    (
      await service.db.query<{ n: number }>(sql`
      SELECT count(DISTINCT s.segment_id) AS n FROM segment_sizes s WHERE s.segment_id = ANY(${ids}::bigint[])`)
    )[0]?.n;
  const rules = (await freshDefinitions(context.definitions)).dynamic.length;
  // With no time at all one is counted each time.
  for (let i = 0; i < rules; i++) await measureSizes(context, undefined, 0);
  expect(await measured()).toBe(2);
  const { points } = await client.get(`/api/segments/${slug}-a/sizes`);
  expect(points.at(-1).count).toBe((await client.get(`/api/segments/${slug}-a/count`)).count);
});

it('are kept one a day past a week, and for two years', async () => {
  const id = await client.segment(slug, { percentage: 1 });
  await service.db.write(sql`
    INSERT INTO segment_sizes (segment_id, at, count)
    SELECT ${id}, t.at, 1 FROM unnest(ARRAY[
      now() - interval '3 years', date_trunc('day', now() - interval '9 days', 'UTC') + interval '1 hour',
      date_trunc('day', now() - interval '9 days', 'UTC') + interval '2 hours', now() - interval '2 hours', now() - interval '1 hour'
    ]) AS t(at)`);
  await thinSizes(service.db);
  const left = await service.db.query<{ hour: number; days: number }>(sql`
    SELECT extract(hour FROM at AT TIME ZONE 'UTC')::int AS hour, extract(day FROM now() - at)::int AS days
    FROM segment_sizes WHERE segment_id = ${id} ORDER BY at`);
  expect(left).toHaveLength(3);
  expect(left[0]?.hour).toBe(2);
});

it('spread evenly, without two points at one millisecond', () => {
  const times = (from: number, to: number, points: number) => spread(new Date(from), new Date(to), points).map(Number);
  expect(times(0, 10, 3)).toEqual([0, 5, 10]);
  expect(times(0, 2, 5)).toEqual([0, 1, 2]);
  expect(times(7, 7, 5)).toEqual([7]);
});
