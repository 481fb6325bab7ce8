import sql from 'sql-template-tag';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Client, clientOf } from '../../../test/client.ts';
import { filesOf } from '../../../test/files.ts';
import { expectFold } from '../../../test/fold.ts';
import { type Answer, type Service, startService } from '../../../test/service.ts';
import { letPass } from '../../../test/time.ts';

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

type Change = Answer['body'];
let drawn = 0;
async function segment(): Promise<string> {
  const slug = `C${++drawn}`;
  await client.segment(slug);
  return slug;
}
const changes = (slug: string, query = '', limit = 100): Promise<Change[]> =>
  client.all(`/api/segments/${slug}/changes?${query}`, 'changes', limit);

it('has one row for each change of an override, of whatever user, newest first', async () => {
  const [slug, other] = [await segment(), await segment()];
  const expires_at = new Date(Date.now() + 3_600_000).toISOString();
  const ann = await client.user({ external_id: 'ann' });
  const bob = await client.user();
  await client.add(ann, slug);
  await client.add(ann, slug);
  await client.add(ann, other);
  await client.put(bob, slug, { mode: 'exclude', expires_at });
  const job = await filesOf(service).run(`/api/segments/${slug}/import?mode=remove`, 'external_id\nann\n');
  const at = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  const actor = 'user:1';
  expect(await changes(slug)).toEqual([
    { at, user_id: ann, external_id: 'ann', action: 'remove', source: `import:${job.id}`, expires_at: null, actor },
    { at, user_id: bob, external_id: null, action: 'add', source: 'exclude', expires_at, actor },
    { at, user_id: ann, external_id: 'ann', action: 'add', source: 'include', expires_at: null, actor },
  ]);
});

it('keeps the bare id of a user who was erased', async () => {
  const slug = await segment();
  const user = await client.user({ external_id: 'erased' });
  await client.add(user, slug);
  await client.call('DELETE', `/api/users/${user}`);
  const found = await changes(slug);
  expect(found.map(({ user_id, external_id, action }) => [user_id, external_id, action])).toEqual([
    [user, null, 'remove'],
    [user, null, 'add'],
  ]);
});

it('is filtered by time, from included and to excluded, and the same page by page', async () => {
  const slug = await segment();
  const users = [];
  for (let i = 0; i < 6; i++) users.push(await client.user());
  for (const user of users) await client.add(user, slug);
  await service.db.write(sql`
    UPDATE history h
    SET at = ('2026-01-01'::timestamp + (h.user_id - ${users[0]}) / 2 * interval '1 day') AT TIME ZONE 'UTC'
    FROM segments s WHERE s.id = h.segment_id AND s.slug = ${slug}`);
  const all = await changes(slug);
  expect(all.map(({ user_id }) => user_id)).toEqual(users.toReversed());
  for (const limit of [1, 4, 5, 6]) expect(await changes(slug, '', limit)).toEqual(all);
  expect(await changes(slug, 'from=2026-01-02T00:00:00Z', 1)).toEqual(all.slice(0, 4));
  expect(await changes(slug, 'from=2026-01-02T00:00:00Z&to=2026-01-03T00:00:00Z', 1)).toEqual(all.slice(2, 4));
  expect(await changes(slug, 'from=&to=2026-01-02T00:00:00Z')).toEqual(all.slice(4));
  expect(await changes(slug, 'from=2026-01-02T00:00:00Z&to=2026-01-02T00:00:00Z')).toEqual([]);
});

it('neither skips nor repeats a row while others write', async () => {
  const slug = await segment();
  const user = await client.user();
  for (let i = 0; i < 10; i++) await (i % 2 ? client.remove(user, slug) : client.add(user, slug));
  const before = await changes(slug);
  const seen: Change[] = [];
  for (let cursor = ''; ; ) {
    const page = await client.get(`/api/segments/${slug}/changes?limit=3${cursor}`);
    seen.push(...page.changes);
    if (page.next_cursor === null) break;
    cursor = `&cursor=${page.next_cursor}`;
    await client.add(user, slug);
    await client.remove(user, slug);
  }
  expect(seen).toEqual(before);
});

it('shows what ended by itself in its place, before anybody has swept', async () => {
  const slug = await segment();
  const [ann, bob] = [await client.user(), await client.user()];
  await client.add(ann, slug, { ttl: 60 });
  await letPass(service.db, ann, 100);
  await client.add(bob, slug);
  const found = await changes(slug);
  expect(found.map(({ user_id, action, actor }) => [user_id, action, actor])).toEqual([
    [bob, 'add', 'user:1'],
    [ann, 'expire', 'system'],
    [ann, 'add', 'user:1'],
  ]);
});

it('takes no cursor of another segment or list', async () => {
  const [slug, other] = [await segment(), await segment()];
  for (const user of [await client.user(), await client.user()]) await client.add(user, slug);
  const { next_cursor } = await client.get(`/api/segments/${slug}/changes?limit=1`);
  for (const path of [`${other}/changes`, `${slug}/users`, `${slug}/overrides`, `${slug}/history`]) {
    const answer = await client.call('GET', `/api/segments/${path}?cursor=${next_cursor}`);
    expect([path, answer.status]).toEqual([path, 400]);
  }
});

it.each(['from=yesterday', 'from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z', 'limit=0', 'cursor=x', 'user=1'])(
  'refuses ?%s',
  async (query) => {
    const slug = await segment();
    expect((await client.call('GET', `/api/segments/${slug}/changes?${query}`)).status).toBe(400);
  },
);

it('of an unknown or deleted segment is 404', async () => {
  const slug = await segment();
  await client.call('DELETE', `/api/segments/${slug}`);
  for (const name of ['unknown', slug]) {
    expect((await client.call('GET', `/api/segments/${name}/changes`)).body.code).toBe('segment_unknown');
  }
});
