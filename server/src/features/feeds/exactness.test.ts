import { createDatabase, type TestDatabase } from '@kohort/testkit/database.ts';
import { untilPasses } from '@kohort/testkit/eventually.ts';
import type { PublishedChange } from '@kohort/testkit/published-change.ts';
import sql from 'sql-template-tag';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { patientConnections } from '../../../test/config.ts';
import { expectFold } from '../../../test/fold.ts';
import { type Follower, followerOf } from '../../../test/follower.ts';
import { type Service, startService } from '../../../test/service.ts';
import { Database, type Tx } from '../../postgres/database.ts';
import { applyChanges } from '../memberships/write/apply.sql.ts';
import type { OverrideChange } from '../memberships/write/override-change.ts';
import { createDefinitionCache, type DefinitionCache, freshDefinitions } from '../segments/definitions.ts';
import { Deriver } from './deriver.ts';
import { RulesInMemory, takeTurn } from './turn.ts';

let database: TestDatabase;
let services: [Service, Service];
let follower: Follower;

beforeAll(async () => {
  database = await createDatabase();
  services = [await startService({ database: database.url }), await startService({ database: database.url })];
  follower = followerOf(services[0]);
});
afterAll(async () => {
  await expectFold(services[0].db);
  for (const service of services) await service.stop();
  await database.drop();
});

const call = (method: string, path: string, body?: unknown) =>
  services[0].call(method, path, { token: services[0].admin, ...(body !== undefined && { body }) });

async function listOf(slug: string, users: number): Promise<number[]> {
  await call('POST', '/api/segments', { slug });
  const ids = [];
  for (let i = 0; i < users; i++) ids.push((await call('POST', '/api/users', { external_id: `${slug} ${i}` })).body.id);
  return ids;
}

const change = (id: number, slug: string, kind: OverrideChange['kind']): OverrideChange => ({
  user: { id },
  slug,
  kind,
  expiresAt: null,
  ttl: null,
  actor: 'user:1',
});

async function membersOf(slug: string): Promise<number[]> {
  const { body } = await call('GET', `/api/segments/${slug}/users?limit=1000`);
  return body.users.map(({ id }: { id: number }) => id);
}

/** Applies changes to members. Fails on a change that contradicts the ones before it. */
function fold(members: Iterable<number>, changes: readonly PublishedChange[]): number[] {
  const now = new Set(members);
  for (const { type, user_id, id } of changes) {
    if (user_id === null) continue;
    if (now.has(user_id) === (type === 'entered')) throw new Error(`${id}: ${type} ${user_id}, who did before`);
    if (type === 'entered') now.add(user_id);
    else now.delete(user_id);
  }
  return [...now].sort((a, b) => a - b);
}

/** Reads the changes after a cursor, a few at a time, until they add up to the members. */
async function changesUntilEqual(id: number, cursor: string, slug: string): Promise<PublishedChange[]> {
  const all: PublishedChange[] = [];
  for (let after = cursor, tries = 0; tries < 400; tries++) {
    const { body } = await call('GET', `/api/feeds/${id}/changes?after=${after}&limit=7&wait=1`);
    all.push(...body.changes);
    after = body.cursor;
    if (body.changes.length > 0) continue;
    const members = await membersOf(slug);
    if (JSON.stringify(fold([], all)) === JSON.stringify(members)) return all;
  }
  throw new Error('the changes never come to who is in');
}

const undo = new Error('undone on purpose');

describe('the published changes', () => {
  it('include a writer that commits after later writers were published', async () => {
    const [ann = 0, bob = 0] = await listOf('LATE', 2);
    const feed = await follower.follow({ segments: ['LATE'] });
    const after = await services[0].db.transaction(async (tx) => {
      await applyChanges(tx, [change(ann, 'LATE', 'include')]);
      await applyChanges(services[1].db, [change(bob, 'LATE', 'include')]);
      const { changes, cursor } = await follower.changes(feed, 1);
      expect(changes).toMatchObject([{ user_id: bob }]);
      return cursor;
    });
    expect((await follower.changes({ id: feed.id, cursor: after }, 1)).changes).toMatchObject([{ user_id: ann }]);
  });

  it('fold to the members, with four writers on two instances that roll back every third transaction', async () => {
    const ids = await listOf('RACED', 12);
    const feed = await follower.follow({ segments: ['RACED'] });
    let turns = 0;
    const write = async (writer: number) => {
      const { db } = services[writer % 2] ?? services[0];
      for (let i = 0; i < 40; i++) {
        const id = ids[(i * 7 + writer * 5) % ids.length] ?? 0;
        const kind = (i + writer) % 2 === 0 ? 'include' : 'auto';
        const work = async (tx: Tx) => {
          await applyChanges(tx, [change(id, 'RACED', kind)]);
          if (turns++ % 3 === 0) throw undo;
        };
        await db.transaction(work).catch((error) => {
          if (error !== undo) throw error;
        });
      }
    };
    await Promise.all([0, 1, 2, 3].map(write));
    const changes = await changesUntilEqual(feed.id, feed.cursor, 'RACED');
    const order = changes.map(({ id }) => Number(id));
    expect(order).toEqual([...order].sort((a, b) => a - b));
    expect(new Set(order).size).toBe(order.length);
    // As many changes as history rows, apart from those that moved no user.
    const [history] = await services[0].db.query<{ n: number }>(sql`
      SELECT count(*) AS n FROM history h JOIN segments s ON s.id = h.segment_id WHERE s.slug = 'RACED'`);
    expect(changes).toHaveLength(history?.n ?? -1);
    // In the order of the tables, which Citus keeps in parts.
    const members = (await follower.snapshot(feed.id)).members.map(({ user_id }) => user_id);
    expect(members.sort((a, b) => a - b)).toEqual(await membersOf('RACED'));
  });

  it('start while others write, and miss none of their writes', async () => {
    const ids = await listOf('BEGUN', 8);
    const write = async (writer: number) => {
      for (let i = 0; i < 40; i++) {
        const id = ids[(i * 3 + writer) % ids.length] ?? 0;
        await applyChanges(services[writer]?.db ?? services[0].db, [change(id, 'BEGUN', i % 2 ? 'auto' : 'include')]);
      }
    };
    const [feed] = await Promise.all([follower.follow({ segments: ['BEGUN'] }), write(0), write(1)]);
    const { members, cursor } = await follower.snapshot(feed.id);
    for (let after = cursor, all: PublishedChange[] = []; ; ) {
      const { body } = await call('GET', `/api/feeds/${feed.id}/changes?after=${after}&wait=1`);
      all = [...all, ...body.changes];
      after = body.cursor;
      const before = members.map(({ user_id }) => user_id);
      if (JSON.stringify(fold(before, all)) === JSON.stringify(await membersOf('BEGUN'))) break;
    }
  });
});

const sizes = { eventsAtOnce: 10, bulkEventsAtOnce: 10, sliceRows: 10, usersAtOnce: 10 };

/** Publishes by hand on a database of its own, in which one user and one segment are, which a feed follows. */
async function publishByHand(segment: object): Promise<{
  readonly db: Database;
  readonly definitions: DefinitionCache;
  readonly user: number;
  /** The changes that are published: `type cause`. */
  published(): Promise<string[]>;
  /** Publishes the rest. */
  finish(): Promise<void>;
}> {
  const own = await createDatabase();
  const service = await startService({ database: own.url });
  await service.call('POST', '/api/segments', { token: service.admin, body: { slug: 'LIST', ...segment } });
  const { body: user } = await service.call('POST', '/api/users', { token: service.admin, body: {} });
  await followerOf(service).follow({ segments: ['LIST'] });
  await service.stop();
  const db = new Database({
    ...patientConnections,
    maxConnections: 4,
    statementTimeout: 10_000,
    onError: () => undefined,
  });
  await db.start(own.url);
  onTestFinished(async () => {
    await db.close();
    await own.drop();
  });
  const definitions = createDefinitionCache(db);
  await freshDefinitions(definitions);
  const deriver = new Deriver({ db, definitions, onError: () => undefined });
  const published = async () => {
    const rows = await db.query<{ line: string }>(sql`
      SELECT concat_ws(' ', c.type, c.cause) AS line FROM feed_changes c WHERE c.user_id IS NOT NULL ORDER BY c.id`);
    return rows.map(({ line }) => line);
  };
  const finish = async () => {
    while ((await deriver.turn()) === 'worked');
  };
  return { db, definitions, user: user.id, published, finish };
}

describe('the publisher', () => {
  it('publishes a stay that ended after its turn had begun, and what ended it', async () => {
    const { db, definitions, user, published, finish } = await publishByHand({ percentage: 0 });
    await applyChanges(db, [change(user, 'LIST', 'include')]);
    let isLate = false;
    await db.transaction(
      async (tx) => {
        const late: Tx = {
          ...tx,
          // A turn writes first once it has its snapshot of the coordinator, and before it reads users.
          write: async (statement) => {
            if (!isLate) await applyChanges(db, [change(user, 'LIST', 'auto')]);
            isLate = true;
            return tx.write(statement);
          },
        };
        await takeTurn(late, definitions.current, new RulesInMemory(), { ...sizes, outside: db });
      },
      { isolation: 'repeatable read' },
    );
    expect([isLate, await published()]).toEqual([true, ['entered add']]);
    await finish();
    expect(await published()).toEqual(['entered add', 'left remove']);
  });

  it('publishes nothing twice, and nothing under two ids, after dying in the middle of a turn', async () => {
    const { db, definitions, user, published, finish } = await publishByHand({});
    await applyChanges(db, [change(user, 'LIST', 'include')]);
    const dying = db.transaction(
      async (tx) => {
        const turn = await takeTurn(tx, definitions.current, new RulesInMemory(), { ...sizes, outside: db });
        expect(turn).toEqual({ published: 1 });
        await tx.query(sql`SELECT pg_terminate_backend(pg_backend_pid())`);
      },
      { isolation: 'repeatable read' },
    );
    await expect(dying).rejects.toThrow();
    expect(await published()).toEqual([]);
    // The server reports the end of a connection before it gives up the locks of its transaction, and a turn without the lock is idle.
    await untilPasses(async () => {
      await finish();
      expect(await published()).not.toEqual([]);
    });
    expect(await published()).toEqual(['entered add']);
  });
});

describe('a cursor', () => {
  it('of another database, from before the feed, or of a change whose id was reused is 410', async () => {
    await listOf('CURSED', 1);
    const old = await follower.follow({ segments: ['RACED'] });
    const feed = await follower.follow({ segments: ['CURSED'] });
    const other = await startService();
    await other.call('POST', '/api/segments', { token: other.admin, body: { slug: 'OTHER' } });
    const foreign = await followerOf(other).follow({ segments: ['OTHER'] });
    await other.stop();
    const asked = async (cursor: string) => {
      const { status, body } = await call('GET', `/api/feeds/${feed.id}/changes?after=${cursor}`);
      return [status, body.code];
    };
    expect(await asked(foreign.cursor)).toEqual([410, 'resync']);
    expect(await asked(`${feed.cursor.slice(0, -1)}_`)).toEqual([400, 'invalid']);
    expect(await asked('x')).toEqual([400, 'invalid']);
    const [user = 0] = await listOf('OTHERS', 1);
    await applyChanges(services[0].db, [change(user, 'RACED', 'include')]);
    const { cursor } = await follower.changes(old, 1);
    expect(await asked(cursor)).toEqual([200, undefined]);
    const late = await follower.follow({ segments: ['OTHERS'] });
    const early = await call('GET', `/api/feeds/${late.id}/changes?after=${feed.cursor}`);
    expect([early.status, early.body.code]).toEqual([410, 'resync']);
    // As after a restore: the id is reused.
    await services[0].db.write(
      sql`UPDATE feed_changes SET nonce = nonce / 2 + 1 WHERE id = (SELECT max(id) FROM feed_changes)`,
    );
    expect(await asked(cursor)).toEqual([410, 'resync']);
  });
});

describe('an add to a segment that no feed follows', () => {
  it('records nothing, and does not query for followers', async ({ skip }) => {
    skip(services[0].db.isDistributed, 'this reads the plan of one statement, which is several on Citus');
    const [ann = 0, bob = 0] = await listOf('FREE', 2);
    let plan = '';
    const explaining = (tx: Tx): Tx => ({
      ...tx,
      write: async (statement) => {
        const rows = await tx.query<{ 'QUERY PLAN': string }>({
          text: `EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) ${'text' in statement ? statement.text : ''}`,
          values: [...statement.values],
        });
        plan = rows.map((row) => row['QUERY PLAN']).join('\n');
        return [];
      },
    });
    const recorded = () => /Insert on feed_events[\s\S]*?One-Time Filter[^\n]*\n([^\n]*)/.exec(plan)?.[1];
    await services[0].db.transaction((tx) => applyChanges(explaining(tx), [change(ann, 'FREE', 'include')]));
    expect(plan).toContain('Insert on history');
    expect([recorded(), plan]).toEqual([expect.stringContaining('never executed'), plan]);
    await follower.follow({ segments: ['FREE'] });
    await services[0].db.transaction((tx) => applyChanges(explaining(tx), [change(bob, 'FREE', 'include')]));
    expect([recorded(), plan]).toEqual([expect.not.stringContaining('never executed'), plan]);
  });
});
