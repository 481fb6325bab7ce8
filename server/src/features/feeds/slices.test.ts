import { createDatabase, type TestDatabase } from '@kohort/testkit/database.ts';
import fc from 'fast-check';
import sql from 'sql-template-tag';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { patientConnections } from '../../../test/config.ts';
import { type Service, startService } from '../../../test/service.ts';
import { createCursors } from '../../paging/cursors.ts';
import { Database } from '../../postgres/database.ts';
import { applyChanges } from '../memberships/write/apply.sql.ts';
import { recordDefinition } from '../outbox/outbox.ts';
import { createDefinitionCache, freshDefinitions } from '../segments/definitions.ts';
import { Deriver } from './deriver.ts';
import { selectFeed } from './feeds.sql.ts';
import { changeFeed, changesAfter, createFeed, type FeedsContext, feedsContext, placeIn } from './feeds.ts';
import { encodePosition } from './positions.ts';

/** Only the turns that a test takes publish here, each a few rows. */
let database: TestDatabase;
let db: Database;
let deriver: Deriver;
let context: FeedsContext;
let users: number[];

const by = { actor: 'user:1' };
const slugs = ['ONE', 'TWO'];

beforeAll(async () => {
  database = await createDatabase();
  const service: Service = await startService({ database: database.url });
  for (const slug of slugs) await service.call('POST', '/api/segments', { token: service.admin, body: { slug } });
  users = [];
  for (let i = 0; i < 7; i++) {
    users.push((await service.call('POST', '/api/users', { token: service.admin, body: { name: `u${i}` } })).body.id);
  }
  await service.stop();
  db = new Database({ ...patientConnections, maxConnections: 4, statementTimeout: 10_000, onError: () => undefined });
  await db.start(database.url);
  const definitions = createDefinitionCache(db);
  await freshDefinitions(definitions);
  const fail = (error: unknown) => {
    throw error;
  };
  const sizes = { eventsAtOnce: 2, bulkEventsAtOnce: 3, sliceRows: 2, usersAtOnce: 2 };
  deriver = new Deriver({ db, definitions, onError: fail, ...sizes });
  context = { ...feedsContext(db, createCursors('a secret'), definitions, fail), deriver };
});
afterAll(async () => {
  await db.close();
  await database.drop();
});

async function drain(): Promise<void> {
  while ((await deriver.turn()) === 'worked');
}

/** The members according to the changes of a feed. Entering twice, or leaving without having entered, does no harm. */
async function folded(feedId: number, cursor: string): Promise<Record<string, number[]>> {
  const feed = await selectFeed(db, feedId);
  if (!feed) throw new Error('no feed');
  const members = new Map(slugs.map((slug) => [slug, new Set<number>()]));
  let place = await placeIn(context, feed, cursor);
  for (;;) {
    const { changes, position } = await changesAfter(db, feed, place, { limit: 3 });
    for (const { type, slug, user_id } of changes) {
      if (type === 'entered') members.get(slug)?.add(user_id ?? 0);
      if (type === 'left') members.get(slug)?.delete(user_id ?? 0);
    }
    if (position.id === place.id) break;
    place = position;
  }
  return Object.fromEntries([...members].map(([slug, ids]) => [slug, [...ids].sort((a, b) => a - b)]));
}

async function membersOf(followed: readonly string[]): Promise<Record<string, number[]>> {
  const rows = await db.query<{ slug: string; user_id: number }>(sql`
    SELECT s.slug, m.user_id FROM memberships m JOIN segments s ON s.id = m.segment_id
    WHERE m.mode = 'include' AND s.slug = ANY(${followed}::text[]) ORDER BY m.user_id`);
  return Object.fromEntries(
    slugs.map((slug) => [slug, rows.filter((row) => row.slug === slug).map((row) => row.user_id)]),
  );
}

const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ user: fc.nat(6), slug: fc.constantFrom(...slugs), isIn: fc.boolean() }) },
  { weight: 2, arbitrary: fc.constant('those so far were many' as const) },
  { weight: 4, arbitrary: fc.constant('turn' as const) },
  { weight: 2, arbitrary: fc.record({ follow: fc.subarray(slugs, { minLength: 1 }) }) },
);

it('slices of members and bulk events add up to the members, whatever happens in between', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), async (steps) => {
      // Earlier members are in no change.
      await db.write(sql`DELETE FROM memberships`);
      await db.write(sql`DELETE FROM feeds`);
      await drain();
      const feed = await createFeed(context, db, { name: 'x', segments: ['ONE'] }, by);
      await drain();
      const cursor = (await selectFeed(db, feed.id))?.begins_after ?? 0;
      const [start] = await db.query<{ nonce: number }>(sql`SELECT c.nonce FROM feed_changes c WHERE c.id = ${cursor}`);
      const from = encodePosition(await context.mark(), { id: cursor, nonce: start?.nonce ?? 0 });
      let followed: readonly string[] = ['ONE'];
      for (const one of steps) {
        if (one === 'turn') await deriver.turn();
        else if (one === 'those so far were many') {
          await db.write(sql`UPDATE feed_events e SET bulk = true, cause = 'import' WHERE e.kind = 'override'`);
        } else if ('follow' in one) {
          followed = one.follow;
          await changeFeed(context, feed.id, { segments: followed }, by);
        } else {
          const user = { id: users[one.user] ?? 0 };
          const kind = one.isIn ? 'include' : 'auto';
          await applyChanges(db, [{ user, slug: one.slug, kind, expiresAt: null, ttl: null, actor: 'user:1' }]);
        }
      }
      await drain();
      expect(await folded(feed.id, from)).toEqual(await membersOf(followed));
    }),
    { numRuns: 40 },
  );
});

it('large work proceeds while single changes keep coming', async () => {
  await db.write(sql`DELETE FROM feeds`);
  await drain();
  const user = { id: users[0] ?? 0 };
  const feed = await createFeed(context, db, { name: 'x', segments: ['ONE'] }, by);
  for (let i = 0; i < 20; i++) {
    const kind = i % 2 ? 'auto' : 'include';
    await applyChanges(db, [{ user, slug: 'ONE', kind, expiresAt: null, ttl: null, actor: 'user:1' }]);
    await deriver.turn();
  }
  expect((await selectFeed(db, feed.id))?.is_ready).toBe(true);
});

it('definitions are published a few at a time, all of them before anything else', async () => {
  await db.write(sql`DELETE FROM feeds`);
  const override = { user: { id: users[1] ?? 0 }, slug: 'ONE', expiresAt: null, ttl: null, actor: 'user:1' } as const;
  await applyChanges(db, [{ ...override, kind: 'exclude' }]);
  await drain();
  const feed = await createFeed(context, db, { name: 'x', segments: ['ONE'] }, by);
  await drain();
  const [{ id } = { id: 0 }] = await db.query<{ id: number }>(sql`SELECT s.id FROM segments s WHERE s.slug = 'ONE'`);
  const [{ last } = { last: 0 }] = await db.query<{ last: number }>(sql`SELECT max(c.id) AS last FROM feed_changes c`);
  await applyChanges(db, [{ ...override, kind: 'include' }]);
  await db.transaction(async (tx) => {
    for (let version = 2; version < 22; version++) {
      const definition = { at: new Date(), actor: 'user:1', version, decides: false, waits: false };
      await recordDefinition(tx, id, { ...definition, before: { version }, after: { version } });
    }
  });
  const published: string[][] = [];
  for (let seen = last; (await deriver.turn()) === 'worked'; ) {
    const changes = await db.query<{ id: number; type: string }>(sql`
      SELECT c.id, c.type FROM feed_changes c WHERE c.id > ${seen} ORDER BY c.id`);
    published.push(changes.map(({ type }) => type));
    seen = changes.at(-1)?.id ?? seen;
  }
  expect(published.flat()).toEqual([...Array.from({ length: 20 }, () => 'segment'), 'entered']);
  expect(Math.max(...published.map(({ length }) => length))).toBeLessThanOrEqual(8);
  await db.write(sql`DELETE FROM feeds f WHERE f.id = ${feed.id}`);
});

it('a definition from before the feed is not the cause of a change that comes after', async () => {
  await db.write(sql`DELETE FROM feeds`);
  await db.write(sql`DELETE FROM memberships`);
  await drain();
  const [{ id } = { id: 0 }] = await db.query<{ id: number }>(sql`SELECT s.id FROM segments s WHERE s.slug = 'ONE'`);
  const definition = { at: new Date(), actor: 'user:1', version: 30, decides: true, waits: false };
  await db.transaction((tx) => recordDefinition(tx, id, { ...definition, before: {}, after: {} }));
  const feed = await createFeed(context, db, { name: 'x', segments: ['ONE'] }, by);
  while (!(await selectFeed(db, feed.id))?.is_ready) await deriver.turn();
  const include = { slug: 'ONE', kind: 'include', expiresAt: null, ttl: null, actor: 'user:1' } as const;
  const [{ last } = { last: 0 }] = await db.query<{ last: number }>(sql`SELECT max(c.id) AS last FROM feed_changes c`);
  // After a turn of single events it is the turn of large work, such as a recheck, whose first slice has the first of the users.
  const entering = [users[2] ?? 0, users[0] ?? 0, users[1] ?? 0];
  for (const user of entering) {
    await applyChanges(db, [{ ...include, user: { id: user } }]);
    await deriver.turn();
  }
  await drain();
  const changes = await db.query<{ cause: string; user_id: number }>(sql`
    SELECT c.cause, c.user_id FROM feed_changes c WHERE c.id > ${last} AND c.type = 'entered' ORDER BY c.id`);
  expect(changes).toEqual(entering.map((user_id) => ({ cause: 'add', user_id })));
  await db.write(sql`DELETE FROM feeds f WHERE f.id = ${feed.id}`);
});
