import { untilPasses } from '@kohort/testkit/eventually.ts';
import sql from 'sql-template-tag';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { expectFold } from '../../../test/fold.ts';
import { type Follower, followerOf } from '../../../test/follower.ts';
import { type Service, startService } from '../../../test/service.ts';
import { createCursors } from '../../paging/cursors.ts';
import { createDefinitionCache } from '../segments/definitions.ts';
import { createFeed, feedsContext } from './feeds.ts';
import { sweepChanges } from './retention.ts';

let service: Service;
let follower: Follower;
beforeAll(async () => {
  service = await startService();
  follower = followerOf(service);
});
afterAll(async () => {
  await expectFold(service.db);
  await service.stop();
});

const call = (method: string, path: string, body?: unknown) =>
  service.call(method, path, { token: service.admin, ...(body !== undefined && { body }) });
const add = (user: string, slug: string, more: object = {}) =>
  call('POST', `/api/users/ext:${user}/segments`, { slug, ...more });
const remove = (user: string, slug: string) => call('DELETE', `/api/users/ext:${user}/segments/${slug}`);

async function list(slug: string, ...users: string[]) {
  await call('POST', '/api/segments', { slug });
  for (const user of users) await add(user, slug);
}

async function job(path: string, csv: string) {
  const { body } = await service.call('POST', path, {
    token: service.admin,
    body: csv,
    headers: { 'content-type': 'text/csv' },
  });
  return untilPasses(async () => {
    const { body: found } = await call('GET', `/api/jobs/${body.job}`);
    expect(found.state).toBe('done');
    return found;
  });
}

describe('a feed of a list', () => {
  it('begins with the members, and reports who enters and leaves', async () => {
    await list('LIST', 'ann');
    const feed = await follower.follow({ segments: ['LIST'] });
    const before = await follower.snapshot(feed.id);
    expect(before.members).toEqual([{ slug: 'LIST', user_id: expect.any(Number), external_id: 'ann' }]);
    await add('bob', 'LIST');
    await remove('ann', 'LIST');
    const published = await follower.changes(feed, 2);
    const common = { at: expect.any(String), slug: 'LIST', user_id: expect.any(Number), actor: 'user:1' };
    expect(published.changes).toEqual([
      { id: expect.any(String), ...common, type: 'entered', external_id: 'bob', cause: 'add' },
      { id: expect.any(String), ...common, type: 'left', external_id: 'ann', cause: 'remove' },
    ]);
    expect(await follower.changes({ id: feed.id, cursor: published.cursor }, 0)).toEqual({
      changes: [],
      cursor: published.cursor,
    });
    expect((await follower.changes({ id: feed.id, cursor: before.cursor }, 2)).changes).toEqual(published.changes);
    const { members } = await follower.snapshot(feed.id);
    expect(members).toEqual([{ slug: 'LIST', user_id: published.changes[0]?.user_id, external_id: 'bob' }]);
  });

  it('reports a short stay, and nothing for writes that move no user', async () => {
    await list('SHORT');
    const feed = await follower.follow({ segments: ['SHORT'] });
    await add('ann', 'SHORT');
    await add('ann', 'SHORT', { ttl: 3_600 });
    await remove('ann', 'SHORT');
    await call('PUT', '/api/users/ext:ann/segments/SHORT', { mode: 'exclude' });
    await call('PUT', '/api/users/ext:ann/segments/SHORT', { mode: 'auto' });
    await add('bob', 'SHORT');
    const published = await follower.changes(feed, 3);
    expect(published.changes.map(({ type, external_id }) => `${type} ${external_id}`)).toEqual([
      'entered ann',
      'left ann',
      'entered bob',
    ]);
  });

  it('reports the expiry of an override with the moment of expiry', async () => {
    await list('ENDS');
    const feed = await follower.follow({ segments: ['ENDS'] });
    await add('ann', 'ENDS', { ttl: 1 });
    const published = await follower.changes(feed, 2);
    const { body } = await call('GET', '/api/users/ext:ann/history?segment=ENDS');
    const { expires_at } = body.events.at(-1);
    expect(expires_at).toEqual(expect.any(String));
    expect(published.changes[1]).toMatchObject({ type: 'left', cause: 'expiry', actor: 'system', at: expires_at });
  });

  it('reports an erased user as left, with their external id', async () => {
    await list('ERASED', 'eve');
    const feed = await follower.follow({ segments: ['ERASED'] });
    await call('DELETE', '/api/users/ext:eve');
    const published = await follower.changes(feed, 1);
    expect(published.changes).toMatchObject([{ type: 'left', external_id: 'eve', cause: 'erasure', actor: 'user:1' }]);
  });

  it('reports an import and its undo', async () => {
    await list('IMPORTED', 'ann', 'bob');
    const feed = await follower.follow({ segments: ['IMPORTED'] });
    const { id } = await job(
      '/api/segments/IMPORTED/import?mode=replace&unknown=create',
      'external_id\nbob\ncas\ndee\n',
    );
    const published = await follower.changes(feed, 3);
    const short = (changes: typeof published.changes) =>
      changes.map(({ type, external_id, cause }) => `${type} ${external_id} ${cause}`).sort();
    expect(short(published.changes)).toEqual(['entered cas import', 'entered dee import', 'left ann import']);
    const undo = await call('POST', `/api/jobs/${id}/undo`);
    expect(undo.status).toBe(202);
    const back = await follower.changes({ id: feed.id, cursor: published.cursor }, 3);
    expect(short(back.changes)).toEqual(['entered ann import', 'left cas import', 'left dee import']);
  });

  it('reports the deletion of the segment, and all members as left', async () => {
    await list('DELETED', 'ann', 'bob');
    const feed = await follower.follow({ segments: ['DELETED'] });
    await call('DELETE', '/api/segments/DELETED');
    const { changes } = await follower.changes(feed, 3);
    expect(changes[0]).toMatchObject({ type: 'segment', slug: 'DELETED', before: { slug: 'DELETED' }, after: null });
    expect(changes.slice(1).map(({ type, external_id, cause }) => [type, external_id, cause])).toEqual([
      ['left', 'ann', 'deletion'],
      ['left', 'bob', 'deletion'],
    ]);
    expect((await follower.snapshot(feed.id)).members).toEqual([]);
    await list('DELETED', 'ann');
    expect((await call('GET', `/api/feeds/${feed.id}`)).body.segments).toEqual([]);
  });

  it('goes on under another slug', async () => {
    await list('RENAMED', 'ann');
    const feed = await follower.follow({ segments: ['RENAMED'] });
    await call('PATCH', '/api/segments/RENAMED', { slug: 'NEW-NAME' });
    await add('bob', 'NEW-NAME');
    const { changes } = await follower.changes(feed, 2);
    expect(changes).toMatchObject([
      { type: 'segment', slug: 'NEW-NAME', before: { slug: 'RENAMED' }, after: { slug: 'NEW-NAME' } },
      { type: 'entered', slug: 'NEW-NAME', external_id: 'bob' },
    ]);
  });
});

describe('a feed by tags', () => {
  it('follows a segment for as long as it carries one of the tags', async () => {
    await list('TAGGED', 'ann');
    await list('OTHER', 'bob');
    await call('PATCH', '/api/segments/TAGGED', { tags: ['web'] });
    const feed = await follower.follow({ tags: ['web', 'app'] });
    expect((await call('GET', `/api/feeds/${feed.id}`)).body).toMatchObject({ segments: null, tags: ['web', 'app'] });
    expect((await follower.snapshot(feed.id)).members).toMatchObject([{ slug: 'TAGGED', external_id: 'ann' }]);
    await call('PATCH', '/api/segments/OTHER', { tags: ['app'] });
    const came = await follower.changes(feed, 2);
    expect(came.changes).toMatchObject([
      { type: 'segment', slug: 'OTHER' },
      { type: 'entered', slug: 'OTHER', external_id: 'bob', cause: 'definition', actor: 'user:1' },
    ]);
    await call('PATCH', '/api/segments/TAGGED', { tags: [] });
    const went = await follower.changes({ id: feed.id, cursor: came.cursor }, 2);
    expect(went.changes).toMatchObject([
      { type: 'segment', slug: 'TAGGED' },
      { type: 'left', slug: 'TAGGED', external_id: 'ann', cause: 'definition' },
    ]);
    await add('cas', 'TAGGED');
    await add('cas', 'OTHER');
    const { changes } = await follower.changes({ id: feed.id, cursor: went.cursor }, 1);
    expect(changes).toMatchObject([{ slug: 'OTHER', external_id: 'cas' }]);
    expect((await follower.snapshot(feed.id)).members).toMatchObject([
      { slug: 'OTHER', external_id: 'bob' },
      { slug: 'OTHER', external_id: 'cas' },
    ]);
  });

  it('reports the members only to the feed that joins, not to feeds that follow already', async () => {
    await list('SHARED', 'ann');
    const first = await follower.follow({ segments: ['SHARED'] });
    const second = await follower.follow({ tags: ['shared'] });
    await call('PATCH', '/api/segments/SHARED', { tags: ['shared'] });
    expect((await follower.changes(second, 2)).changes).toMatchObject([{ type: 'segment' }, { type: 'entered' }]);
    expect((await follower.changes(first, 1)).changes).toMatchObject([{ type: 'segment' }]);
  });
});

describe('a feed that is changed', () => {
  it('receives members as entered for segments that it starts to follow, as left for those that it stops following', async () => {
    await list('OLD', 'ann');
    await list('KEPT', 'bob');
    await list('NEW', 'cas');
    const feed = await follower.follow({ segments: ['OLD', 'KEPT'] });
    const { status, body } = await call('PATCH', `/api/feeds/${feed.id}`, { name: 'other', segments: ['KEPT', 'NEW'] });
    expect([status, body]).toMatchObject([200, { name: 'other', segments: ['KEPT', 'NEW'], tags: null }]);
    const { changes, cursor } = await follower.changes(feed, 2);
    expect(
      changes.map(({ type, slug, external_id, cause }) => `${type} ${slug} ${external_id} ${cause}`).sort(),
    ).toEqual(['entered NEW cas definition', 'left OLD ann definition']);
    const { members } = await follower.snapshot(feed.id);
    expect(members.map(({ slug }) => slug).sort()).toEqual(['KEPT', 'NEW']);
    await call('PATCH', `/api/feeds/${feed.id}`, { types: ['left'] });
    await add('dee', 'NEW');
    await remove('dee', 'NEW');
    expect((await follower.changes({ id: feed.id, cursor }, 1)).changes).toMatchObject([{ type: 'left' }]);
  });

  it('is refused invalid changes', async () => {
    const feed = await follower.follow({ tags: ['nothing'] });
    const refused = async (path: string, method: string, body: object) => {
      const answer = await call(method, path, body);
      return [answer.status, answer.body.code, answer.body.errors?.[0]?.path];
    };
    const own = `/api/feeds/${feed.id}`;
    expect(await refused(own, 'PATCH', { segments: ['LIST'] })).toEqual([400, 'invalid', '/body/segments']);
    expect(await refused(own, 'PATCH', {})).toEqual([400, 'invalid', '/body']);
    expect(await refused('/api/feeds/9999', 'PATCH', { name: 'x' })).toEqual([404, 'feed_unknown', undefined]);
    const create = (body: object) => refused('/api/feeds', 'POST', { name: 'x', ...body });
    expect(await create({})).toEqual([400, 'invalid', '/body/segments']);
    expect(await create({ segments: ['LIST'], tags: ['x'] })).toEqual([400, 'invalid', '/body/tags']);
    expect(await create({ segments: ['NOWHERE'] })).toEqual([404, 'segment_unknown', undefined]);
    expect(await create({ segments: ['LIST'], types: ['other'] })).toEqual([400, 'invalid', '/body/types/0']);
  });
});

describe('a key with tags', () => {
  it('follows the segments that it sees, and sees only feeds of those', async () => {
    await list('SEEN', 'ann');
    await call('PATCH', '/api/segments/SEEN', { tags: ['mine'] });
    const { body: key } = await call('POST', '/api/keys', { name: 'k', role: 'editor', tags: ['mine'] });
    const withKey = async (method: string, path: string, body?: object) => {
      const answer = await service.call(method, path, { token: key.key, ...(body && { body }) });
      return answer.body?.code ?? answer.status;
    };
    expect(await withKey('POST', '/api/feeds', { name: 'a', tags: ['mine', 'web'] })).toBe('invalid');
    expect(await withKey('POST', '/api/feeds', { name: 'a', segments: ['LIST'] })).toBe('segment_unknown');
    expect(await withKey('POST', '/api/feeds', { name: 'a', segments: ['SEEN'] })).toBe(201);
    expect(await withKey('POST', '/api/feeds', { name: 'a', tags: ['mine'] })).toBe(201);
    const other = await follower.follow({ segments: ['SEEN', 'LIST'] });
    for (const [method, path] of [
      ['GET', ''],
      ['GET', '/snapshot'],
      ['GET', '/changes'],
      ['DELETE', ''],
    ] as const) {
      expect(await withKey(method, `/api/feeds/${other.id}${path}`)).toBe('feed_unknown');
    }
    const { body } = await service.call('GET', '/api/feeds', { token: key.key });
    expect(body.feeds).toHaveLength(2);
  });
});

describe('bounds', () => {
  it('limit the number of feeds, of feeds per caller, and of segments followed by all feeds', async () => {
    await list('BOUND');
    const limits = { feeds: 1_000, feedsOfOneCaller: 1_000, follows: 1_000 };
    const create = (change: Partial<typeof limits>) => {
      const definitions = createDefinitionCache(service.db);
      const cursors = createCursors('a secret');
      const context = feedsContext(service.db, cursors, definitions, () => undefined, { ...limits, ...change });
      return createFeed(context, service.db, { name: 'x', segments: ['BOUND'] }, { actor: 'user:1' });
    };
    await expect(create({ feeds: 3 })).rejects.toMatchObject({ code: 'feeds_exhausted', status: 409 });
    await expect(create({ feedsOfOneCaller: 3 })).rejects.toMatchObject({ code: 'feeds_exhausted' });
    await expect(create({ follows: 3 })).rejects.toMatchObject({ code: 'feeds_exhausted' });
    await expect(create({})).resolves.toMatchObject({ id: expect.any(Number) });
  });

  it('keep changes for the retention time, and always the last one', async () => {
    await list('SWEPT');
    const feed = await follower.follow({ segments: ['SWEPT'] });
    for (const user of ['ann', 'bob', 'cas']) await add(user, 'SWEPT');
    const { changes, cursor } = await follower.changes(feed, 3);
    await service.db.write(sql`UPDATE feed_changes SET published_at = published_at - interval '7 days 1 minute'`);
    await sweepChanges(service.db, 8);
    expect((await follower.changes(feed, 3)).changes).toEqual(changes);
    await sweepChanges(service.db, 7);
    const old = await call('GET', `/api/feeds/${feed.id}/changes?after=${feed.cursor}`);
    expect([old.status, old.body.code]).toEqual([410, 'resync']);
    expect((await call('GET', `/api/feeds/${feed.id}/changes`)).body.code).toBe('resync');
    await add('dee', 'SWEPT');
    expect((await follower.changes({ id: feed.id, cursor }, 1)).changes).toMatchObject([{ external_id: 'dee' }]);
  });
});

describe('a segment that no feed follows', () => {
  it('records nothing, even if it was followed before', async () => {
    const events = async () =>
      (await service.db.query<{ n: number }>({ text: 'SELECT count(*) AS n FROM feed_events', values: [] }))[0]?.n;
    const followed = async () =>
      (
        await service.db.query<{ slug: string }>({
          text: `SELECT slug FROM segments WHERE followed AND slug = 'ALONE'`,
          values: [],
        })
      ).length;
    await list('ALONE', 'ann');
    const feed = await follower.follow({ segments: ['ALONE'] });
    expect(await followed()).toBe(1);
    await call('DELETE', `/api/feeds/${feed.id}`);
    expect((await call('GET', `/api/feeds/${feed.id}/changes`)).body.code).toBe('feed_unknown');
    await untilPasses(async () => expect(await followed()).toBe(0));
    await untilPasses(async () => expect(await events()).toBe(0));
    await add('bob', 'ALONE');
    expect(await events()).toBe(0);
    // A new feed fills the segment again.
    const again = await follower.follow({ segments: ['ALONE'] });
    expect((await follower.snapshot(again.id)).members).toMatchObject([{ external_id: 'ann' }, { external_id: 'bob' }]);
  });
});
