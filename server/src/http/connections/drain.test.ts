import { once } from 'node:events';
import { connect } from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';
import { createDatabase, type TestDatabase } from '@kohort/testkit/database.ts';
import { eventually } from '@kohort/testkit/eventually.ts';
import { open, type Wire } from '@kohort/testkit/wire.ts';
import { afterAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { type Listening, listen } from '../../../test/listen.ts';

let database: TestDatabase | undefined;
let service: Listening;
beforeEach(async () => {
  database ??= await createDatabase();
  service = await listen(database.url);
});
afterAll(() => database?.drop());

/** Until the service has received all that was sent on these connections. */
async function untilReceived(wires: readonly Wire[]): Promise<void> {
  const sent = wires.reduce((bytes, { socket }) => bytes + socket.bytesWritten, 0);
  const received = () =>
    Array.from(service.tracker.connections.keys()).reduce((bytes, { bytesRead }) => bytes + bytesRead, 0);
  await eventually(() => received() === sent);
}

const untilNoneIsTaken = () => eventually(() => !service.service.app.server.listening);

it('a kept connection may be used once more while the service stops, is told that it was the last time, and is closed', async () => {
  const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`;
  const kept = await Promise.all(Array.from({ length: 3 }, () => open(service.port)));
  for (const wire of kept) {
    wire.write(get('/healthz'));
    const answer = await wire.next();
    expect([answer.status, answer.headers.connection]).toEqual([200, 'keep-alive']);
  }
  const [framework, fast, unused] = kept;
  if (!framework || !fast || !unused) throw new Error('no connection');
  const stopping = service.stop();
  await untilNoneIsTaken();
  framework.write(get('/healthz'));
  // The fast path, which passes the framework by.
  fast.write(get('/api/users/1/segments'));
  for (const wire of [framework, fast]) {
    const answer = await wire.next();
    expect([answer.status, answer.headers.connection]).toEqual([200, 'close']);
  }
  await Promise.all(kept.map(({ ended }) => ended));
  await stopping;
});

const BODY = '{"slug":"Slow"}';
const HEAD = `POST /api/segments HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${BODY.length}\r\n\r\n`;
const READY = 'GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n';

describe('a graceful stop', () => {
  it('finishes what is in flight, refuses new connections, says 503 at /readyz, and waits for nothing else', async () => {
    const { port } = service;
    const [inFlight, late, idle, fresh, stuck] = await Promise.all([0, 1, 2, 3, 4].map(() => open(port)));
    if (!inFlight || !late || !idle || !fresh || !stuck) throw new Error('no connection');
    idle.write(READY);
    expect((await idle.next()).status).toBe(200);
    inFlight.write(HEAD + BODY.slice(0, 5));
    late.write(READY.slice(0, -2));
    stuck.write(READY.slice(0, 10));
    await untilReceived([inFlight, late, idle, fresh, stuck]);

    let isStopped = false;
    const stopping = service.stop().then(() => {
      isStopped = true;
    });
    await untilNoneIsTaken();
    await expect(open(port)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    await idle.ended;

    late.write('\r\n');
    const ready = await late.next();
    expect(ready).toMatchObject({ status: 503, headers: { 'retry-after': '1', connection: 'close' } });
    expect(ready.headers['x-request-id']).toBeDefined();
    await late.ended;

    // What never became a call is not waited for.
    await Promise.all([fresh.ended, stuck.ended]);
    expect(isStopped).toBe(false);

    inFlight.write(BODY.slice(5));
    expect(await inFlight.next()).toMatchObject({ status: 200, text: '{"id":1}', headers: { connection: 'close' } });
    await inFlight.ended;
    await stopping;
  });
});

it('a stop may take as long as the calls under way do', async () => {
  const inFlight = await open(service.port);
  inFlight.write(HEAD + BODY.slice(0, 5));
  await untilReceived([inFlight]);
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  let stopping: Promise<void>;
  try {
    stopping = service.stop();
    await untilNoneIsTaken();
    vi.advanceTimersByTime(20_000);
  } finally {
    vi.useRealTimers();
  }
  inFlight.write(BODY.slice(5).replace('Slow', 'Late'));
  expect(await inFlight.next()).toMatchObject({ status: 200, headers: { connection: 'close' } });
  await stopping;
});

/** Keeps the event loop for so long. */
function block(milliseconds: number): void {
  for (const began = performance.now(); performance.now() - began < milliseconds; );
}

/** Asks on a new connection, and returns what came of it. */
function tryNewConnection(port: number): Promise<string> {
  const socket = connect(port, '127.0.0.1', () => socket.write('GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n'));
  const answered = once(socket, 'data').then(
    () => 'answered',
    (error) => String(error.code),
  );
  return Promise.race([
    answered,
    once(socket, 'close').then(
      () => 'closed',
      () => answered,
    ),
  ]);
}

/** Stops the service, and returns when it begins to look for waiting connections. `atBegin` is called before its first turn. */
async function beginDraining(atBegin = () => {}): Promise<{ readonly stopping: Promise<void> }> {
  const { server } = service.service.app;
  const { promise: isDraining, resolve: begin } = Promise.withResolvers<void>();
  const prepend = server.prependListener.bind(server);
  // What the drain does first.
  server.prependListener = (...args: Parameters<typeof prepend>) => {
    atBegin();
    begin();
    return prepend(...args);
  };
  const stopping = service.stop();
  await isDraining;
  return { stopping };
}

it('a connection that is made while the stopping service is busy is taken, and not reset', async () => {
  const { stopping } = await beginDraining();
  const tried: Promise<string>[] = [];
  for (let turns = 1; turns <= 40; turns++) {
    await turn();
    block(2);
    // Each time the turns before this one have accepted none.
    if (turns % 4 === 2) tried.push(tryNewConnection(service.port));
  }
  expect(new Set(await Promise.all(tried))).toEqual(new Set(['answered']));
  await stopping;
});

describe('DRAIN_DELAY', () => {
  it('is how long /readyz says 503 while calls and connections are still taken', async () => {
    const slow = await listen(database?.url ?? '', { mode: 'production', env: { DRAIN_DELAY: '5' } });
    const kept = await open(slow.port);
    let isStopped = false;
    const stopping = slow.stop().then(() => {
      isStopped = true;
    });
    for (const wire of [kept, await open(slow.port)]) {
      wire.write(READY);
      expect((await wire.next()).status).toBe(503);
      wire.write('GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n');
      expect(await wire.next()).toMatchObject({ status: 200, headers: { connection: 'keep-alive' } });
    }
    expect(isStopped).toBe(false);
    await stopping;
    await expect(open(slow.port)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  });
});
