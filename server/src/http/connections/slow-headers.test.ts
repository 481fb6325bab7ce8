import { createDatabase, type TestDatabase } from '@kohort/testkit/database.ts';
import { exchange, open } from '@kohort/testkit/wire.ts';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Listening, listen } from '../../../test/listen.ts';

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
