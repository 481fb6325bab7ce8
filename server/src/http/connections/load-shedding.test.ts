import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { exchange } from '../../../test/wire.ts';
import { createGate } from './load-shedding.ts';
import { createTraffic } from './tracker.ts';

const held: ServerResponse[] = [];
const traffic = createTraffic();
const gate = createGate(2, traffic, () => 'the-id');
const server = createServer(
  gate.guard((request, response) => void (request.url === '/held' ? held.push(response) : response.end('ok'))),
);
let port = 0;
const get = (path: string) => exchange(port, `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`);

beforeAll(async () => {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  port = typeof address === 'object' && address ? address.port : 0;
});
afterAll(() => void server.close());

it('refuses what is too much with 503 and Retry-After, but never the questions after our health; then lets in again', async () => {
  const waiting = [get('/held'), get('/held')];
  while (held.length < 2) await new Promise((resolve) => setTimeout(resolve, 5));
  const refused = await get('/api/users/2/segments');
  expect(refused).toMatchObject({
    status: 503,
    headers: {
      'retry-after': '1',
      'x-request-id': 'the-id',
      'content-type': 'application/problem+json; charset=utf-8',
    },
  });
  expect(JSON.parse(refused.text)).toMatchObject({ status: 503, code: 'overloaded', request_id: 'the-id' });
  expect((await get('/healthz')).status).toBe(200);
  expect([traffic.underWay(), gate.refused()]).toEqual([2, 1]);
  for (const response of held) response.end('ok');
  await Promise.all(waiting);
  expect((await get('/api/users/2/segments')).status).toBe(200);
});
