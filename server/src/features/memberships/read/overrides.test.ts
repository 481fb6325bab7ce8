import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Client, clientOf } from '../../../../test/client.ts';
import { type Answer, type Service, startService } from '../../../../test/service.ts';
import { letPass } from '../../../../test/time.ts';

let service: Service;
let client: Client;
const users: number[] = [];
beforeAll(async () => {
  service = await startService();
  client = clientOf(service);
  for (let i = 0; i < 6; i++) users.push(await client.user({ external_id: `u${i}`, name: `User ${i}` }));
  await client.segment('RULE', { percentage: 50 });
  for (const [i, mode] of ['include', 'exclude', 'include', 'exclude', 'exclude'].entries()) {
    await client.put(users[i] ?? 0, 'RULE', { mode, ...(i === 2 && { ttl: 3600 }), ...(i === 4 && { ttl: 60 }) });
  }
});
afterAll(() => service.stop());

const overrides = (query = '', limit = 100): Promise<Answer['body'][]> =>
  client.all(`/api/segments/RULE/overrides?${query}`, 'overrides', limit);
const placesOf = (found: Answer['body'][]) => found.map(({ user_id }) => users.indexOf(user_id));

it('are shown with who they are, which way, since when and until when', async () => {
  const time = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  expect((await overrides()).slice(1, 3)).toEqual([
    { user_id: users[1], external_id: 'u1', name: 'User 1', mode: 'exclude', since: time, expires_at: null },
    { user_id: users[2], external_id: 'u2', name: 'User 2', mode: 'include', since: time, expires_at: time },
  ]);
});

it('are those that stand, of one mode or both, page by page', async () => {
  expect(placesOf(await overrides())).toEqual([0, 1, 2, 3, 4]);
  await letPass(service.db, users[4] ?? 0, 100);
  for (const limit of [1, 2, 100]) {
    expect(placesOf(await overrides('', limit))).toEqual([0, 1, 2, 3]);
    expect(placesOf(await overrides('mode=', limit))).toEqual([0, 1, 2, 3]);
    expect(placesOf(await overrides('mode=include', limit))).toEqual([0, 2]);
    expect(placesOf(await overrides('mode=exclude', limit))).toEqual([1, 3]);
  }
});

it.each(['mode=auto', 'limit=0', 'cursor=x', 'query=u'])('refuse ?%s', async (query) => {
  expect((await client.call('GET', `/api/segments/RULE/overrides?${query}`)).status).toBe(400);
});

it('of an unknown segment are 404', async () => {
  expect((await client.call('GET', '/api/segments/unknown/overrides')).body.code).toBe('segment_unknown');
});
