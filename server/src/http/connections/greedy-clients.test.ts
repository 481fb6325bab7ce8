import { createDatabase, type TestDatabase } from '@kohort/testkit/database.ts';
import { exchange, open, type Wire } from '@kohort/testkit/wire.ts';
import sql from 'sql-template-tag';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type Listening, listen } from '../../../test/listen.ts';
import { ADMIN_PASSWORD } from '../../../test/service.ts';

/** As many as the service has places for: one client used to close it for all others with them. */
const flood = 4_200;
let database: TestDatabase;
let service: Listening;
let admin: string;
/** Of the client that wants everything. */
let key: string;
let greedy: Wire[];

const head = (method: string, path: string, token?: string) =>
  `${method} ${path} HTTP/1.1\r\nHost: x\r\n${token === undefined ? '' : `Authorization: Bearer ${token}\r\n`}`;
const get = (path: string, token?: string) => `${head('GET', path, token)}\r\n`;
const post = (path: string, body: string, token?: string) =>
  `${head('POST', path, token)}Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
const answerTo = async (bytes: string) => (await exchange(service.port, bytes)).status;

async function send(bytes: string): Promise<Wire> {
  const wire = await open(service.port);
  greedy.push(wire);
  wire.write(bytes);
  return wire;
}

beforeAll(async () => {
  database = await createDatabase();
});
beforeEach(async () => {
  greedy = [];
  service = await listen(database.url);
  const credentials = JSON.stringify({ username: 'admin', password: ADMIN_PASSWORD });
  admin = JSON.parse((await exchange(service.port, post('/auth/sign-in', credentials))).text).token;
  const made = await exchange(service.port, post('/api/keys', '{"name":"greedy","role":"viewer"}', admin));
  key = JSON.parse(made.text).key;
  await exchange(service.port, post('/api/segments', '{"slug":"A"}', admin));
  // An upload that is never taken for broken, however long the tests take.
  await service.db.write(sql`
    INSERT INTO jobs (kind, options, actor, heartbeat_at)
    VALUES ('user_import', '{}', 'user:1', clock_timestamp() + interval '1 hour')`);
});
afterEach(async () => {
  for (const { socket } of greedy) socket.resetAndDestroy();
  await service.stop();
});
afterAll(() => database.drop());

/** What others ask meanwhile: strangers, a known caller, a sign-in, and the health checks. */
async function expectOthersServed(): Promise<void> {
  const credentials = JSON.stringify({ username: 'admin', password: ADMIN_PASSWORD });
  const statuses = await Promise.all([
    answerTo(get('/api/users/1/segments')),
    answerTo(post('/api/users/1/segments', '{"slug":"A"}')),
    answerTo(get('/api/segments', admin)),
    answerTo(post('/auth/sign-in', credentials)),
    answerTo(get('/healthz')),
    answerTo(get('/readyz')),
    answerTo(get('/metrics')),
  ]);
  expect(statuses).toEqual([200, 200, 200, 200, 200, 200, 200]);
}

describe('calls pipelined on one connection', () => {
  const follow = () => get('/api/jobs/1/events', key);
  const quickKinds: readonly [string, string][] = [
    ['reads', get('/api/users/1/segments')],
    ['adds', post('/api/users/1/segments', '{"slug":"A"}')],
    ['refusals', get('/nowhere')],
    ['health checks', get('/healthz')],
    ['documents', get('/openapi.json')],
    ['lists', get('/api/segments')],
    ['more followers', follow()],
  ];

  it.each(quickKinds)('behind a followed job leave room for others: %s', async (_, quick) => {
    await send(follow() + quick.repeat(flood));
    await expect.poll(() => service.tracker.underWay).toBeGreaterThanOrEqual(32);
    await expectOthersServed();
  });

  it('behind an asset that is not read leave room for others', async () => {
    const wire = await open(service.port);
    greedy.push(wire);
    wire.socket.pause();
    wire.write(get('/docs/assets/swagger-ui-bundle.js').repeat(40) + get('/healthz').repeat(flood));
    await expect.poll(() => service.tracker.underWay).toBeGreaterThanOrEqual(10);
    await expectOthersServed();
  });
});

describe('many connections of one caller', () => {
  it('leave room for others, also at the same address', async () => {
    for (let i = 0; i < 150; i++) await send(get('/api/jobs/1/events', key) + get('/api/segments', key).repeat(64));
    await expectOthersServed();
  });

  it('do not take all connections to the database, also where their statements are stuck', async () => {
    const other = JSON.parse(
      (await exchange(service.port, post('/api/keys', '{"name":"other","role":"viewer"}', admin))).text,
    ).key;
    await service.db.transaction(async (tx) => {
      await tx.query(sql`LOCK TABLE history IN ACCESS EXCLUSIVE MODE`);
      for (let i = 0; i < 10; i++) await send(get('/api/users/1/history', key).repeat(30));
      await expect.poll(() => service.db.connections.waiting).toBeGreaterThan(100);
      expect(await answerTo(get('/api/feeds', other))).toBe(200);
    });
  });
});
