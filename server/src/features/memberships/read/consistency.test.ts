import { createDatabase, type TestDatabase } from '@kohort/testkit/database.ts';
import sql from 'sql-template-tag';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { expectFold } from '../../../../test/fold.ts';
import { isLinearizable, type Operation } from '../../../../test/linearizable.ts';
import { broken, listenBroken } from '../../../../test/linearizable-builds.ts';
import { type Listening, listen } from '../../../../test/listen.ts';
import type { Answer } from '../../../../test/service.ts';

/** Two instances on one database, behind real sockets: the fast path and the coalesced statements are what is tried here. */
let database: TestDatabase;
let instances: [Listening, Listening];

beforeAll(async () => {
  database = await createDatabase();
  instances = [await listen(database.url), await listen(database.url)];
  for (const slug of ['LIST', 'HALF', 'OTHER']) await call(0, 'POST', '/api/segments', { slug });
  await instances[0].db.write(sql`
    INSERT INTO users (name) SELECT 'user ' || g FROM generate_series(1, 1000) g`);
});
afterAll(async () => {
  await Promise.all(instances.map((one) => one.stop()));
  await database.drop();
});

type Reply = Pick<Answer, 'status' | 'body'>;

async function call(instance: number, method: string, path: string, body?: object, headers = {}): Promise<Reply> {
  const response = await fetch(`http://127.0.0.1:${instances[instance === 0 ? 0 : 1].port}${path}`, {
    method,
    headers: { ...headers, ...(body && { 'content-type': 'application/json' }) },
    ...(body && { body: JSON.stringify(body) }),
  });
  return { status: response.status, body: await response.json() };
}

const segmentsOf = async (instance: number, user: number, headers = {}): Promise<string[]> =>
  (await call(instance, 'GET', `/api/users/${user}/segments`, undefined, headers)).body.segments;

describe('what one instance acknowledged', () => {
  it.each([
    ['without a header', {}],
    ['with Consistency: strong', { consistency: 'strong' }],
  ])('the other one shows at once, %s', async (_, headers) => {
    let stale = 0;
    let background = true;
    // Reads of other users keep statements in flight, so that the read in question has one to join or to miss.
    const noise = Promise.all(
      Array.from({ length: 8 }, async (_, i) => {
        for (let n = i; background; n++) await segmentsOf(1, 1 + (n % 300));
      }),
    );
    for (let round = 0; round < 60; round++) {
      const user = 1 + (round % 100);
      await call(0, 'POST', `/api/users/${user}/segments`, { slug: 'LIST' });
      if (!(await segmentsOf(1, user, headers)).includes('LIST')) stale++;
      await call(0, 'DELETE', `/api/users/${user}/LIST`);
      if ((await segmentsOf(1, user, headers)).includes('LIST')) stale++;
    }
    background = false;
    await noise;
    expect(stale).toBe(0);
  });

  it('holds for definitions and attributes too, which are remembered compiled and worked out', async () => {
    const db = instances[0].db;
    const [admin] = await db.query<{ user_id: number }>(sql`SELECT user_id FROM accounts WHERE username = 'admin'`);
    const { body } = await call(0, 'POST', '/auth/sign-in', { username: 'admin', password: 'correct horse battery' });
    const authorization = { authorization: `Bearer ${body.token}` };
    expect(admin?.user_id).toBeDefined();
    let stale = 0;
    for (let round = 0; round < 30; round++) {
      const [percentage, user] = [round % 2 === 0 ? 100 : 0, 1 + (round % 10)];
      await call(0, 'PATCH', '/api/segments/HALF', { percentage }, authorization);
      if ((await segmentsOf(1, user)).includes('HALF') !== (percentage === 100)) stale++;
    }
    await call(0, 'PATCH', '/api/segments/HALF', { percentage: null, condition: { vip: true } }, authorization);
    for (let round = 0; round < 30; round++) {
      const [vip, user] = [round % 2 === 0, 1 + (round % 3)];
      await call(0, 'PATCH', `/api/users/${user}`, { attributes: { vip } }, authorization);
      if ((await segmentsOf(1, user)).includes('HALF') !== vip) stale++;
      // Once more: this one may be answered from what was worked out a moment ago.
      if ((await segmentsOf(1, user)).includes('HALF') !== vip) stale++;
      // Overrides beat the rule although the attributes did not change.
      await call(0, 'DELETE', `/api/users/${user}/HALF`);
      if ((await segmentsOf(1, user)).includes('HALF')) stale++;
      await call(0, 'PUT', `/api/users/${user}/segments/HALF`, { mode: 'auto' }, authorization);
    }
    expect(stale).toBe(0);
  });
});

async function act(instance: number, kind: Operation['kind'], user: number): Promise<boolean | undefined> {
  if (kind === 'read') return (await segmentsOf(instance, user)).includes('OTHER');
  const { status } =
    kind === 'add'
      ? await call(instance, 'POST', `/api/users/${user}/segments`, { slug: 'OTHER' })
      : await call(instance, 'DELETE', `/api/users/${user}/OTHER`);
  expect(status).toBe(200);
  return undefined;
}

/** Six clients on two instances, each doing random things to random pairs; the pairs that no order explains. */
async function unexplained({
  pairs,
  rounds,
  first,
}: {
  pairs: number;
  rounds: number;
  first: number;
}): Promise<number> {
  const histories = new Map<number, Operation[]>();
  await Promise.all(
    Array.from({ length: 6 }, async (_, client) => {
      for (let round = 0; round < rounds; round++) {
        const user = first + Math.floor(Math.random() * pairs);
        const kind = (['add', 'remove', 'read', 'read'] as const)[Math.floor(Math.random() * 4)] ?? 'read';
        const sent = performance.now();
        const member = await act(client % 2, kind, user);
        const operation = { sent, answered: performance.now(), kind, ...(member !== undefined && { member }) };
        histories.set(user, [...(histories.get(user) ?? []), operation]);
      }
    }),
  );
  return [...histories.values()].filter((history) => !isLinearizable(history)).length;
}

/** Chance decides which calls overlap, so it tries until it finds something, each time on pairs of its own: a sound build passes. */
async function untilFoundOut(first: number): Promise<void> {
  const pairs = 4;
  for (let from = first; (await unexplained({ pairs, rounds: 40, first: from })) === 0; from += pairs);
}

describe('each pair is linearizable', () => {
  it('with 6 clients, 100 pairs and two instances', async () => {
    expect(await unexplained({ pairs: 100, rounds: 200, first: 1 })).toBe(0);
    // Few pairs, so that calls on one pair meet in the queue.
    expect(await unexplained({ pairs: 8, rounds: 60, first: 201 })).toBe(0);
    await expectFold(instances[0].db);
  });

  // Too few calls meet in one statement here to find out the build that joins one in flight: broken-builds.test.ts does.
  it.each([
    { how: 'remembers answers', first: 301 },
    { how: 'acknowledges before the commit', first: 651 },
  ] as const)('and a build that $how is found out', async ({ how, first }) => {
    const sound = instances;
    const start = await listenBroken(broken[how]);
    instances = [await start(database.url), await start(database.url)];
    try {
      await untilFoundOut(first);
    } finally {
      await Promise.all(instances.map((one) => one.stop()));
      instances = sound;
    }
  });
});
