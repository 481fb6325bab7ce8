import { createDatabase, type TestDatabase } from '@kohort/testkit/database.ts';
import { eventually } from '@kohort/testkit/eventually.ts';
import fc from 'fast-check';
import sql from 'sql-template-tag';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type Listening, listen } from '../../../server/test/listen.ts';
import { ADMIN_PASSWORD } from '../../../server/test/service.ts';
import { type Client, createClient, NotFollowed, type Replica, ResyncRequired } from '../index.ts';

const ADDRESS = 'http://kohort.test';

let database: TestDatabase;
let service: Listening;
let client: Client;
let leave: AbortController;

/** Reaches whichever service runs now, under one address. */
const send: typeof fetch = (input, init) =>
  fetch(String(input).replace(ADDRESS, `http://127.0.0.1:${service.port}`), init);

async function restart(): Promise<void> {
  await service.stop();
  service = await listen(database.url);
}

beforeAll(async () => {
  database = await createDatabase();
  service = await listen(database.url);
  const open = createClient({ url: ADDRESS, fetch: send });
  const { token } = await open.auth.signIn({ body: { username: 'admin', password: ADMIN_PASSWORD } });
  client = createClient({ url: ADDRESS, token, fetch: send });
});
afterAll(async () => {
  await service?.stop();
  await database?.drop();
});
beforeEach(() => {
  leave = new AbortController();
});
afterEach(() => leave.abort());

const add = (user: string, slug: string) => client.memberships.addToSegment({ params: { user }, body: { slug } });
const remove = (user: string, slug: string) => client.memberships.removeFromSegment({ params: { user, slug } });
const segment = (slug: string, tags: readonly string[] = []) => client.segments.createSegment({ body: { slug, tags } });
const create = (segments: readonly string[]) => client.feeds.createFeed({ body: { name: 'test', segments } });

const listMembers = (slug: string) => Array.fromAsync(client.segments.listMembers.all({ params: { slug } }));

/** What a feed says, folded: its snapshot and the changes after it. */
class Fold {
  readonly members = new Set<string>();
  readonly seen = new Set<string>();

  async run(feed: number): Promise<void> {
    let after: string | undefined;
    for await (const { members, cursor } of client.snapshot(feed)) {
      for (const { slug, user_id } of members) this.members.add(`${slug} ${user_id}`);
      after = cursor ?? undefined;
    }
    for await (const { changes } of client.follow(feed, { after, signal: leave.signal })) {
      for (const { id, type, slug, user_id } of changes) {
        expect(this.seen.has(id)).toBe(false);
        this.seen.add(id);
        if (type === 'entered') this.members.add(`${slug} ${user_id}`);
        else if (type === 'left') this.members.delete(`${slug} ${user_id}`);
      }
    }
  }

  of(slug: string): string[] {
    const own = [...this.members].filter((one) => one.startsWith(`${slug} `));
    return own.map((one) => one.slice(slug.length + 1)).sort();
  }
}

const users = Array.from({ length: 8 }, (_, i) => `ext:user ${i}`);
const step = fc.record({
  what: fc.constantFrom('add', 'add', 'remove', 'erase', 'rest'),
  user: fc.constantFrom(...users),
  slug: fc.constantFrom('ONE', 'TWO'),
});

async function take({ what, user, slug }: { what: string; user: string; slug: string }): Promise<void> {
  const ignoreUnknown = (error: unknown) => expect(error).toMatchObject({ code: 'user_unknown' });
  if (what === 'add') await add(user, slug);
  else if (what === 'remove') await remove(user, slug).catch(ignoreUnknown);
  else if (what === 'erase') await client.users.eraseUser({ params: { user } }).catch(ignoreUnknown);
}

/** Whether the replica knows the same of all users, by both of their names. */
async function agrees(replica: Replica, slug: string): Promise<boolean> {
  await replica.refresh();
  const members = await listMembers(slug);
  const names = new Set(members.map(({ external_id }) => `ext:${external_id}`));
  return (
    members.every(({ id }) => replica.isIn(String(id), slug)) &&
    users.every((user) => replica.isIn(user, slug) === names.has(user))
  );
}

describe('a feed, followed by the client', () => {
  it('folds to who is in, over restarts of the service', async () => {
    for (const slug of ['ONE', 'TWO']) await segment(slug);
    await add('ext:user 0', 'ONE');
    const { id } = await create(['ONE', 'TWO']);
    const fold = new Fold();
    const following = fold.run(id).catch((error) => expect(error).toBe(leave.signal.reason));
    const replica = await client.replica(id, { signal: leave.signal });
    const check = async () => {
      for (const slug of ['ONE', 'TWO']) {
        const members = (await listMembers(slug)).map(({ id: user }) => String(user)).sort();
        await eventually(() => fold.of(slug).join() === members.join());
        await eventually(() => agrees(replica, slug));
      }
    };
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 25 }), async (steps) => {
        const half = steps.length >> 1;
        for (const one of steps.slice(0, half)) await take(one);
        await restart();
        for (const one of steps.slice(half)) await take(one);
        await check();
      }),
      { numRuns: 4, endOnFailure: true },
    );
    leave.abort();
    await following;
  });

  it('is reported as gone when its position is', async () => {
    await segment('SHORT');
    const { id, cursor } = await create(['SHORT']);
    await add('ext:late', 'SHORT');
    const first = await client.follow(id, { after: cursor }).next();
    expect(first.value).toMatchObject({ changes: [{ type: 'entered', slug: 'SHORT', external_id: 'late' }] });
    await service.db.query(sql`DELETE FROM feed_changes WHERE id < (SELECT max(id) FROM feed_changes)`);
    await expect(client.follow(id, { after: cursor }).next()).rejects.toBeInstanceOf(ResyncRequired);
  });
});

describe('a replica', () => {
  it('goes along when a segment is renamed or deleted', async () => {
    for (const slug of ['OLD', 'GONE']) await segment(slug);
    await add('ext:ann', 'OLD');
    const { id } = await create(['OLD', 'GONE']);
    const replica = await client.replica(id, { signal: leave.signal });
    expect([replica.slugs, replica.isIn('ext:ann', 'OLD')]).toEqual([['GONE', 'OLD'], true]);
    await client.segments.changeSegment({ params: { slug: 'OLD' }, body: { slug: 'NEW' } });
    await client.segments.deleteSegment({ params: { slug: 'GONE' } });
    await eventually(() => replica.slugs.join() === 'NEW');
    expect(replica.isIn('ext:ann', 'NEW')).toBe(true);
    expect(() => replica.isIn('ext:ann', 'OLD')).toThrow(NotFollowed);
    await remove('ext:ann', 'NEW');
    await eventually(() => !replica.isIn('ext:ann', 'NEW'));
  });

  it('goes along when segments come to carry a tag of its feed, or do not any more', async () => {
    await segment('TAGGED', ['web']);
    await segment('OTHER');
    await add('ext:bob', 'OTHER');
    const { id } = await client.feeds.createFeed({ body: { name: 'web', tags: ['web'] } });
    const replica = await client.replica(id, { signal: leave.signal });
    expect(replica.slugs).toEqual(['TAGGED']);
    await client.segments.changeSegment({ params: { slug: 'OTHER' }, body: { tags: ['web'] } });
    await eventually(() => replica.segmentsOf('ext:bob').join() === 'OTHER');
    await client.segments.changeSegment({ params: { slug: 'OTHER' }, body: { tags: [] } });
    await eventually(() => replica.slugs.join() === 'TAGGED');
    await segment('LATER', ['web']);
    await eventually(() => replica.slugs.join() === 'LATER,TAGGED');
  });

  it('goes along when its feed is changed', async () => {
    for (const slug of ['FIRST', 'SECOND']) await segment(slug);
    await add('ext:ann', 'SECOND');
    const { id } = await create(['FIRST']);
    const replica = await client.replica(id, { maxAgeMs: 3_000, signal: leave.signal });
    expect(replica.slugs).toEqual(['FIRST']);
    await client.feeds.changeFeed({ params: { id: String(id) }, body: { segments: ['SECOND'] } });
    await eventually(() => replica.slugs.join() === 'SECOND' && replica.isIn('ext:ann', 'SECOND'));
  });

  it('knows of rules, too', async () => {
    await client.segments.createSegment({ body: { slug: 'DUTCH', condition: { country: 'NL' } } });
    const { id } = await create(['DUTCH']);
    const replica = await client.replica(id, { signal: leave.signal });
    await client.users.changeUser({ params: { user: 'ext:jan' }, body: { attributes: { country: 'NL' } } });
    await eventually(() => replica.isIn('ext:jan', 'DUTCH'));
    await client.segments.changeSegment({ params: { slug: 'DUTCH' }, body: { condition: { country: 'BE' } } });
    await eventually(() => !replica.isIn('ext:jan', 'DUTCH'));
  });
});
