import pg from 'pg';
import sql from 'sql-template-tag';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Client, clientOf } from '../../../../test/client.ts';
import { type Service, startService } from '../../../../test/service.ts';
import type { Db } from '../../../postgres/database.ts';
import { createDefinitionCache, freshDefinitions } from '../../segments/definitions.ts';
import { coalesceStateOfUser, membershipsOf } from './explain.ts';
import { largeAnswerPlaces } from './large-answers.ts';
import { coalesceResolve } from './resolve.ts';
import { segmentsContext } from './segments-of-user.ts';

/** So many that a thousand times their slugs are more than an answer may hold. */
const LISTS = 10_500;

let service: Service;
let client: Client;
let user: number;

beforeAll(async () => {
  service = await startService();
  client = clientOf(service);
  user = await client.user({ external_id: 'of many lists' });
  await service.db.write(sql`
    WITH revised AS (UPDATE definitions SET revision = revision + 1 RETURNING revision), listed AS (
      INSERT INTO segments (slug, salt, revision, created_at, updated_at)
      SELECT 'list-' || lpad(n::text, 5, '0'), 'salt', r.revision, now(), now()
      FROM revised r, generate_series(1, ${LISTS}::int) n RETURNING id
    )
    INSERT INTO memberships (user_id, segment_id, mode, since) SELECT ${user}, l.id, 'include', now() FROM listed l`);
});
afterAll(() => service.stop());

/** The service's database with some of its functions replaced. Its getters read private fields, which an object above it has not. */
const watched = (functions: Partial<Db>) =>
  Object.assign(Object.create(service.db, { isDistributed: { value: service.db.isDistributed } }), functions);
const resolve = (body: object) => client.call('POST', '/api/resolve', body);
const times = <T>(n: number, one: T) => Array.from({ length: n }, () => one);

describe('a user in very many segments', () => {
  it('has them all in their answers, sorted', async () => {
    const slugs = await client.segmentsOf(user);
    expect(slugs).toHaveLength(LISTS);
    expect(slugs).toEqual(slugs.toSorted());
    const { memberships } = await client.get(`/api/users/${user}/memberships`);
    expect(memberships.map(({ slug }: { slug: string }) => slug)).toEqual(slugs);
    expect(memberships[0]).toMatchObject({ source: 'include', expires_at: null });
    const { status, body } = await resolve({ users: times(50, String(user)) });
    expect(status).toBe(200);
    expect(body.results).toHaveLength(50);
    expect(body.results[49]).toEqual({ user: String(user), segments: slugs });
  });

  it('named a thousand times is refused, and answered about the segments that the call names', async () => {
    const users = times(1_000, String(user));
    const { status, body } = await resolve({ users });
    expect([status, body.code]).toEqual([413, 'answer_too_large']);
    const narrowed = await resolve({ users, segments: ['list-00007', 'nowhere', 'list-00003'] });
    expect(narrowed.body.results).toEqual(times(1_000, { user: String(user), segments: ['list-00003', 'list-00007'] }));
    const many = Array.from({ length: 20 }, (_, n) => `list-${String(n + 1).padStart(5, '0')}`);
    expect((await resolve({ users: [users[0]], segments: many })).body.results[0].segments).toEqual(many);
  });

  it('does not take the answers of others along that share the statement', async () => {
    const answers = await Promise.all([
      resolve({ users: times(1_000, String(user)) }),
      resolve({ users: ['1', 'ext:of many lists'], segments: ['list-00001'] }),
      resolve({ users: ['1'] }),
    ]);
    expect(answers.map(({ status }) => status)).toEqual([413, 200, 200]);
    expect(answers[1]?.body.results.map(({ segments }: { segments: string[] }) => segments)).toEqual([
      [],
      ['list-00001'],
    ]);
  });
});

it('equal users are looked up once, and a narrowed question asks for no more than its segments need', async ({
  skip,
}) => {
  skip(service.db.isDistributed, 'it reads the statement that one server gets');
  await client.segment('rule', { condition: { $inSegment: 'list-00001' } });
  const asked: unknown[][] = [];
  const db: Pick<Db, 'rows'> = {
    rows: (statement) => {
      asked.push([...statement.values]);
      return service.db.rows(statement);
    },
  };
  const definitions = createDefinitionCache(service.db);
  const context = {
    ...segmentsContext({ db: service.db, definitions }),
    db: watched(db),
  };
  await freshDefinitions(definitions);
  const ask = coalesceResolve(
    (read) => read(context),
    () => undefined,
  );
  const users = [{ id: user }, { id: 1 }, { id: user }];
  expect((await ask({ users, segments: undefined })).map((body) => body?.length)).toEqual([
    expect.any(Number),
    '{"segments":[]}'.length,
    expect.any(Number),
  ]);
  expect(asked.pop()?.[0]).toBe(`{${user},1}`);
  expect(await ask({ users, segments: ['rule'] })).toEqual([
    '{"segments":["rule"]}',
    '{"segments":[]}',
    '{"segments":["rule"]}',
  ]);
  const ids = await service.db.query<{ id: number }>(sql`
    SELECT id FROM segments WHERE slug IN ('list-00001', 'rule') ORDER BY slug`);
  expect(asked.pop()?.at(-1)).toEqual(ids.map(({ id }) => id));
});

it('few large answers are built at once, and one caller has half of the places', async () => {
  const definitions = createDefinitionCache(service.db);
  const reads = {
    stateOf: coalesceStateOfUser(
      (read) => read({ db: service.db, definitions }),
      () => undefined,
    ),
    largeAnswers: largeAnswerPlaces(),
  };
  const building = { mine: 0, theirs: 0 };
  const most = { mine: 0, all: 0 };
  const { promise: twoOfMine, resolve: mineHaveMet } = Promise.withResolvers<void>();
  const ask = (caller: 'mine' | 'theirs', of = user) =>
    membershipsOf(
      reads,
      { id: of },
      {
        caller,
        seenBy: async (ids) => {
          building[caller]++;
          most.mine = Math.max(most.mine, building.mine);
          most.all = Math.max(most.all, building.mine + building.theirs);
          if (building.mine === 2) mineHaveMet();
          if (caller === 'mine') await twoOfMine;
          // Time for those that should not begin meanwhile.
          for (let turn = 0; turn < 10; turn++) await new Promise(setImmediate);
          building[caller]--;
          return new Set(ids);
        },
      },
    );
  const answers = await Promise.all(
    [...times(20, 'mine' as const), ...times(20, 'theirs' as const)].map((one) => ask(one)),
  );
  expect(answers.filter((texts) => texts.length >= LISTS)).toHaveLength(40);
  expect(most).toEqual({ mine: 2, all: expect.any(Number) });
  expect(most.all).toBeLessThanOrEqual(4);
  const few = Array.from({ length: 300 }, () => ask('mine', 1));
  expect((await Promise.all(few)).flat(), 'small ones need no place').toEqual([]);
});

it('a user whom many ask about at once is read once', async ({ skip }) => {
  skip(service.db.isDistributed, 'it reads the statement that one server gets');
  const asked: unknown[][] = [];
  const db: Pick<Db, 'query'> = {
    query: (statement) => {
      asked.push(statement.values.flat().filter((value) => value !== null));
      return service.db.query(statement);
    },
  };
  const definitions = createDefinitionCache(service.db);
  await freshDefinitions(definitions);
  const reading = { definitions, db: watched(db) };
  const stateOf = coalesceStateOfUser(
    (read) => read(reading),
    () => undefined,
  );
  const externalId = 'of many lists';
  const refs = [{ externalId }, { id: user }, { externalId }, { externalId: 'none' }, { externalId }, { id: user }];
  const states = await Promise.all(refs.map((ref) => stateOf(ref)));
  expect(states.map((state) => state.user?.id)).toEqual([user, user, user, undefined, user, user]);
  // One statement for all six, or each would name its user once whatever they share.
  expect(asked).toEqual([[user, externalId, 'none']]);
});

it('cold percentages for a thousand users are decided once each, whatever the number of rules', async () => {
  await service.db.write(sql`
    WITH revised AS (UPDATE definitions SET revision = revision + 1 RETURNING revision)
    INSERT INTO segments (slug, salt, percentage, revision, created_at, updated_at)
    SELECT 'share-' || n, 'salt' || n, 100, r.revision, now(), now() FROM revised r, generate_series(1, 500) n`);
  await service.db.write(sql`INSERT INTO users (external_id) SELECT NULL FROM generate_series(1, 1000)`);
  const rows = await service.db.query<{ id: number }>(
    sql`SELECT id FROM users WHERE id > ${user} ORDER BY id LIMIT 1000`,
  );
  const { status, body } = await resolve({ users: rows.map(({ id }) => String(id)) });
  expect(status).toBe(200);
  expect(body.results).toHaveLength(1_000);
  expect(new Set(body.results.map(({ segments }: { segments: string[] }) => segments.length))).toEqual(new Set([500]));
});

describe('calls of resolve that were gathered', () => {
  const failing = (code: string, isMeant: (name: string) => boolean): Pick<Db, 'rows'> => ({
    rows: (statement) =>
      isMeant(('name' in statement && statement.name) || '')
        ? Promise.reject(Object.assign(new pg.DatabaseError('failed', 0, 'error'), { code }))
        : service.db.rows(statement),
  });
  const calls = [{ segments: undefined }, { segments: ['list-00001'] }];
  const context = async (db: Pick<Db, 'rows'>) => {
    const definitions = createDefinitionCache(service.db);
    await freshDefinitions(definitions);
    return { ...segmentsContext({ db: service.db, definitions }), db: watched(db) };
  };

  it('are four at most where each has a statement of its own', async () => {
    const whole = await context(failing('', () => false));
    const batches: number[] = [];
    const ask = coalesceResolve(
      (read) => read(whole),
      (callers) => batches.push(callers),
    );
    const users = [{ externalId: 'of many lists' }];
    expect(await Promise.all(times(8, null).map(() => ask({ users, segments: ['list-00001'] })))).toHaveLength(8);
    expect(batches).toEqual([4, 4]);
    await Promise.all(times(8, null).map(() => ask({ users, segments: undefined })));
    expect(batches).toEqual([4, 4, 8]);
  });

  it.each([[[0]], [[1]], [[0, 1]]])('are answered by the primary when a replica fails, of calls %j', async (asked) => {
    const [replica, primary] = [await context(failing('40001', () => true)), await context(failing('', () => false))];
    const ask = coalesceResolve(
      (read) => read(replica).catch(() => read(primary)),
      () => undefined,
    );
    const answers = await Promise.all(
      asked.map((n) => ask({ users: [{ externalId: 'of many lists' }], segments: calls[n]?.segments })),
    );
    expect(answers).toEqual(asked.map(() => [expect.stringContaining('list-00001')]));
  });

  it.each([
    ['all', 'memberships-lists', ['rejected', 'fulfilled']],
    ['some', 'memberships-lists-within', ['fulfilled', 'rejected']],
  ])('fail alone when a statement about %s segments takes too long', async (_, failed, expected) => {
    const slow = await context(failing('57014', (name) => name.replace('subjects', 'lists') === failed));
    const ask = coalesceResolve(
      (read) => read(slow),
      () => undefined,
    );
    const answers = await Promise.allSettled(
      calls.map(({ segments }) => ask({ users: [{ externalId: 'of many lists' }], segments })),
    );
    expect(answers.map(({ status }) => status)).toEqual(expected);
  });
});

it('calls whose answers are too large together are answered in halves, and one that is too large alone is refused alone', async () => {
  const lists = 3_000;
  const ids = Array.from({ length: 48 }, (_, i) => 100_000 + i);
  await service.db.write(sql`
    WITH revised AS (UPDATE definitions SET revision = revision + 1 RETURNING revision), listed AS (
      INSERT INTO segments (slug, salt, revision, created_at, updated_at)
      SELECT 'long-' || n || repeat('x', 240), 'salt', r.revision, now(), now()
      FROM revised r, generate_series(1, ${lists}::int) n RETURNING id
    ), named AS (
      INSERT INTO users (id) OVERRIDING SYSTEM VALUE SELECT unnest(${ids}::bigint[]) RETURNING id
    )
    INSERT INTO memberships (user_id, segment_id, mode, since)
    SELECT u.id, l.id, 'include', now() FROM named u CROSS JOIN listed l`);
  const definitions = createDefinitionCache(service.db);
  const context = segmentsContext({ db: service.db, definitions });
  await freshDefinitions(definitions);
  const batches: number[] = [];
  const ask = coalesceResolve(
    (read) => read(context),
    (callers) => batches.push(callers),
  );
  const users = ids.map((id) => ({ id }));
  const calls = [users.slice(0, 16), users.slice(16, 32), users, users.slice(32), [{ id: user }, ...users.slice(0, 2)]];
  const answers = await Promise.allSettled(calls.map((asked) => ask({ users: asked, segments: undefined })));
  expect(batches).toEqual([5]);
  const sizes = (of: number) =>
    times(
      of,
      expect.toSatisfy((body: string) => body.split('long-').length === lists + 1),
    );
  expect(answers).toEqual([
    { status: 'fulfilled', value: sizes(16) },
    { status: 'fulfilled', value: sizes(16) },
    { status: 'rejected', reason: expect.objectContaining({ code: 'answer_too_large' }) },
    { status: 'fulfilled', value: sizes(16) },
    { status: 'fulfilled', value: [expect.stringContaining('list-00001'), ...sizes(2)] },
  ]);
});
