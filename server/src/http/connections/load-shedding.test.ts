import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { exchange, open } from '@kohort/testkit/wire.ts';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { anonymous } from '../caller.ts';
import { KnownCallers } from './callers.ts';
import { type CallLimits, LoadShedding } from './load-shedding.ts';
import { Tracker } from './tracker.ts';

let held: ServerResponse[];
let tracker: Tracker;
let callers: KnownCallers;
let shedding: LoadShedding;
let close: () => Promise<void>;
let port = 0;

const request = (path: string, token?: string) =>
  `GET ${path} HTTP/1.1\r\nHost: x\r\n${token === undefined ? '' : `Authorization: ${token}\r\n`}\r\n`;
const get = (path: string, token?: string) => exchange(port, request(path, token));

async function start(limits: Partial<CallLimits>): Promise<void> {
  held = [];
  tracker = new Tracker();
  callers = new KnownCallers();
  shedding = new LoadShedding({
    limits: { atOnce: 4, forAdmins: 0, factor: 100, perConnection: 100, waiting: 1_000, ...limits },
    tracker,
    callers,
    addressOf: () => '192.0.2.1',
    requestIdOf: () => 'the-id',
  });
  const server = createServer(
    shedding.guard(({ url = '' }, response) => void (url === '/held' ? held.push(response) : response.end(url))),
  );
  tracker.follow(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  port = (server.address() as AddressInfo).port;
  close = async () => {
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  };
}
beforeEach(() => start({}));
afterEach(() => close());

/** So many connections with a call under way each. */
async function hold(count: number, token?: string): Promise<void> {
  const before = held.length;
  for (let i = 0; i < count; i++) (await open(port)).write(request('/held', token));
  await expect.poll(() => held.length).toBe(before + count);
}

describe('all calls together', () => {
  it('are bounded: 503 with Retry-After, but never for health and metrics; then calls come in again', async () => {
    await hold(4);
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
    for (const path of ['/healthz', '/readyz', '/metrics']) expect((await get(path)).status).toBe(200);
    expect([tracker.underWay, shedding.refused]).toEqual([4, 1]);
    for (const response of held) response.end('ok');
    await expect.poll(() => tracker.underWay).toBe(0);
    expect((await get('/api/users/2/segments')).status).toBe(200);
  });
});

describe('the share of one caller', () => {
  it('leaves room for others: strangers of the same address, known callers, sign-ins', async () => {
    await close();
    await start({ atOnce: 20, factor: 3 });
    callers.learn('Bearer greedy', { ...anonymous, actor: 'key:1' });
    callers.learn('Bearer other', { ...anonymous, actor: 'key:2' });
    await hold(15, 'Bearer greedy');
    expect((await get('/', 'Bearer greedy')).status).toBe(503);
    for (const token of ['Bearer other', 'Bearer unknown', undefined]) expect((await get('/', token)).status).toBe(200);
    await hold(4);
    expect((await get('/')).status).toBe(503);
    expect((await get('/auth/sign-in')).status).toBe(200);
    expect((await get('/', 'Bearer other')).status).toBe(200);
  });

  it('is one for all its connections and tokens', async () => {
    await close();
    await start({ atOnce: 20, factor: 1 });
    for (const token of ['one', 'two']) callers.learn(token, { ...anonymous, actor: 'user:7' });
    await hold(5, 'one');
    await hold(5, 'two');
    expect((await get('/', 'one')).status).toBe(503);
  });

  it('leaves admins room beyond all the rest, as long as their credential is good', async () => {
    await close();
    await start({ atOnce: 2, forAdmins: 2 });
    callers.learn('Bearer admin', { ...anonymous, role: 'admin', actor: 'user:1' });
    await hold(2);
    expect((await get('/', 'Bearer admin')).status).toBe(200);
    callers.forget('Bearer admin');
    expect((await get('/', 'Bearer admin')).status).toBe(503);
    callers.learn('Bearer admin', { ...anonymous, role: 'admin', actor: 'user:1' });
    await hold(2, 'Bearer admin');
    expect((await get('/', 'Bearer admin')).status).toBe(503);
  });
});

describe('one connection', () => {
  it('has so many calls under way, is not read beyond, and is answered all of them in order', async () => {
    await close();
    await start({ atOnce: 1_000, perConnection: 8, waiting: 10_000 });
    const wire = await open(port);
    wire.write(request('/held') + Array.from({ length: 5_000 }, (_, i) => request(`/${i}`)).join(''));
    await expect.poll(() => held.length).toBe(1);
    await expect.poll(() => tracker.underWay).toBe(8);
    expect((await get('/other')).status).toBe(200);
    const [connection] = tracker.connections.values();
    // Node parses what one read brought, 64 KiB, and reads no more.
    expect(connection?.waiting?.length).toBeLessThan(2_500);
    held[0]?.end('slow');
    expect((await wire.next()).text).toBe('slow');
    for (let i = 0; i < 5_000; i++) expect((await wire.next()).text).toBe(`/${i}`);
    expect([tracker.underWay, shedding.refused]).toEqual([0, 0]);
    wire.socket.destroy();
  });

  it('waits with bodies, too', async () => {
    await close();
    await start({ perConnection: 1 });
    const wire = await open(port);
    const body = 'x'.repeat(300_000);
    const post = (path: string) => `POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
    wire.write(request('/held') + post('/1') + post('/2') + request('/3'));
    await expect.poll(() => held.length).toBe(1);
    held[0]?.end('slow');
    for (const text of ['slow', '/1', '/2', '/3']) expect((await wire.next()).text).toBe(text);
    wire.socket.destroy();
  });

  it('that ends while calls wait on it leaves nothing behind', async () => {
    await close();
    await start({ perConnection: 2, waiting: 10 });
    for (let round = 0; round < 3; round++) {
      const wire = await open(port);
      wire.write(request('/held') + request('/x').repeat(9));
      await expect.poll(() => held.length).toBe(round + 1);
      await expect.poll(() => tracker.underWay).toBe(2);
      wire.socket.destroy();
      held[round]?.end();
      await expect.poll(() => [tracker.underWay, tracker.connections.size]).toEqual([0, 0]);
    }
  });

  it('ends when too many calls wait on all of them', async () => {
    await close();
    await start({ perConnection: 1, waiting: 5 });
    const wire = await open(port);
    wire.write(request('/held') + request('/x').repeat(7));
    await wire.ended;
    expect((await get('/other')).status).toBe(200);
  });
});
