import { once } from 'node:events';
import { createDatabase, type TestDatabase } from '@kohort/testkit/database.ts';
import { eventually } from '@kohort/testkit/eventually.ts';
import { exchange, open } from '@kohort/testkit/wire.ts';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Listening, listen } from '../../../test/listen.ts';
import { createWebServer } from '../server.ts';

let database: TestDatabase;
let service: Listening;
beforeAll(async () => {
  database = await createDatabase();
  service = await listen(database.url, { limits: { headersMs: 500, sweepEveryMs: 20 } });
});
afterAll(async () => {
  await service.stop();
  await database.drop();
});

it('a client that dawdles over its headers is cut off with 408, and others are served meanwhile', async () => {
  const wire = await open(service.port);
  wire.write('GET /healthz HTTP/1.1\r\nHost: x\r\n');
  const dripping = setInterval(() => wire.write('X-Drip: x\r\n'), 50);
  expect((await exchange(service.port, 'GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n')).status).toBe(200);
  const answer = await wire.next().finally(() => clearInterval(dripping));
  expect(answer).toMatchObject({
    status: 408,
    headers: { 'content-type': 'application/problem+json; charset=utf-8' },
  });
  expect(JSON.parse(answer.text).request_id).toBe(answer.headers['x-request-id']);
  await wire.ended;
});

async function holdingServer() {
  const limits = { headersMs: 200, sweepEveryMs: 20, perConnection: 2 };
  const { app, tracker } = createWebServer({ logLevel: 'silent', trustProxy: [], translate: () => undefined, limits });
  const { promise: held, resolve: release } = Promise.withResolvers<void>();
  app.get('/held', () => held.then(() => ({})));
  const address = await app.listen({ host: '127.0.0.1', port: 0 });
  return { app, tracker, release, port: Number(new URL(address).port) };
}

const call = 'GET /held HTTP/1.1\r\nHost: x\r\n\r\n';

it('headers that we do not read behind calls that wait are not late, and have their time once we read on', async () => {
  const { app, tracker, release, port } = await holdingServer();
  const wire = await open(port);
  wire.write(`${call.repeat(4)}GET /held HTTP/1.1\r\nHost:`);
  // Node takes them for late.
  await once(app.server, 'clientError');
  wire.write(' x\r\n\r\n');
  expect(tracker.underWay).toBe(2);
  release();
  for (let i = 0; i < 5; i++) expect((await wire.next()).status).toBe(200);
  expect(wire.socket.readyState).toBe('open');
  wire.socket.destroy();
  await app.close();
});

it('a client that dawdles over its headers after the calls that waited is cut off with 408', async () => {
  const { app, tracker, release, port } = await holdingServer();
  const wire = await open(port);
  wire.write(`${call.repeat(4)}GET /held HTTP/1.1\r\nHost:`);
  await once(app.server, 'clientError');
  release();
  for (let i = 0; i < 4; i++) expect((await wire.next()).status).toBe(200);
  expect((await wire.next()).status).toBe(408);
  await wire.ended;
  await eventually(() => tracker.underWay === 0);
  await app.close();
});

it('a client that dawdles over its headers behind a call under way has no answer of that one', async () => {
  const { app, tracker, release, port } = await holdingServer();
  const wire = await open(port);
  wire.write(`${call}GET /held HTTP/1.1\r\nHost:`);
  await expect(wire.next()).rejects.toThrow('the connection ended after ""');
  await eventually(() => tracker.underWay === 0);
  release();
  await app.close();
});
