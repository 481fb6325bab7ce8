import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import fastify from 'fastify';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createDatabase, type TestDatabase } from '../../../test/database.ts';
import { exchange, type Listening, listen, open } from '../../../test/wire.ts';
import { answerBrokenRequest } from '../problems.ts';
import { boundArrivals } from './body-timeout.ts';

let database: TestDatabase;
let service: Listening;
beforeAll(async () => {
  database = await createDatabase();
  service = await listen(database.url);
});
afterAll(() => database.drop());

const BODY = '{"slug":"Slow"}';
const HEAD = `POST /api/segments HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${BODY.length}\r\n\r\n`;
const READY = 'GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n';

describe('a client that dawdles over its headers', () => {
  it('is cut off after 10 s with 408, and others are served meanwhile', { timeout: 15_000 }, async () => {
    const wire = await open(service.port);
    const started = performance.now();
    wire.write('GET /healthz HTTP/1.1\r\nHost: x\r\n');
    const dripping = setInterval(() => wire.write('X-Drip: x\r\n'), 500);
    await sleep(5_000);
    expect((await exchange(service.port, READY)).status).toBe(200);
    const answer = await wire.next().finally(() => clearInterval(dripping));
    const seconds = (performance.now() - started) / 1000;
    expect(answer).toMatchObject({
      status: 408,
      headers: { 'content-type': 'application/problem+json; charset=utf-8' },
    });
    expect(JSON.parse(answer.text).request_id).toBe(answer.headers['x-request-id']);
    expect(seconds).toBeGreaterThan(9);
    expect(seconds).toBeLessThan(12);
    await wire.ended;
  });
});

describe('a client that dawdles over its body', () => {
  it('is cut off with 408 when its time is over, here one second', async () => {
    const app = fastify({ clientErrorHandler: answerBrokenRequest });
    boundArrivals(app, 1_000);
    app.post('/', async () => ({}));
    await app.listen({ host: '127.0.0.1', port: 0 });
    const { port } = app.server.address() as AddressInfo;
    try {
      const wire = await open(port);
      const started = performance.now();
      wire.write('POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 90\r\n\r\n{');
      const dripping = setInterval(() => wire.write(' '), 200);
      const answer = await wire.next().finally(() => clearInterval(dripping));
      expect(answer).toMatchObject({ status: 408, headers: { connection: 'close' } });
      expect(JSON.parse(answer.text)).toMatchObject({ code: 'request_timeout', status: 408 });
      expect(performance.now() - started).toBeGreaterThan(1_000);
      expect(performance.now() - started).toBeLessThan(3_500);
      await wire.ended;
    } finally {
      await app.close();
    }
  });
});

describe('a graceful stop', () => {
  it('finishes what is in flight, refuses new connections, says 503 at /readyz, and waits for nobody else', async () => {
    const { port } = service;
    const [inFlight, late, idle, fresh, stuck] = await Promise.all([0, 1, 2, 3, 4].map(() => open(port)));
    if (!inFlight || !late || !idle || !fresh || !stuck) throw new Error('no connection');
    idle.write(READY);
    expect((await idle.next()).status).toBe(200);
    inFlight.write(HEAD + BODY.slice(0, 5));
    late.write(READY.slice(0, -2));
    stuck.write(READY.slice(0, 10));
    await sleep(100);

    const started = performance.now();
    let stopped = Number.NaN;
    const stopping = service.stop().then(() => {
      stopped = performance.now() - started;
    });
    await sleep(200);
    await expect(open(port)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    await idle.ended;

    late.write('\r\n');
    const ready = await late.next();
    expect(ready).toMatchObject({ status: 503, headers: { 'retry-after': '1', connection: 'close' } });
    expect(ready.headers['x-request-id']).toBeDefined();
    await late.ended;

    // What never became a call is not waited for.
    await Promise.all([fresh.ended, stuck.ended]);
    expect(performance.now() - started).toBeLessThan(3_000);
    expect(stopped).toBeNaN();

    inFlight.write(BODY.slice(5));
    expect(await inFlight.next()).toMatchObject({ status: 200, text: '{"id":1}', headers: { connection: 'close' } });
    await inFlight.ended;
    await stopping;
    expect(stopped).toBeLessThan(5_000);
  });
});
