import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { type Endpoint, endpoint, Problem, strict } from '@kohort/contract';
import { exchange, open } from '@kohort/testkit/wire.ts';
import Type from 'typebox';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { anonymous } from '../caller.ts';
import { createRouter } from '../route.ts';
import { createWebServer, type WebServer } from '../server.ts';
import { uploadOf } from '../uploads.ts';

const SECRET = 'the-path-is-the-credential';
const log: string[] = [];
let web: WebServer;
let port: number;
/** Streams that have begun and not ended. */
let drawing = 0;
let uploads = 0;
/** Calls that wait until a test lets them go on. */
let held = 0;
let gate = Promise.withResolvers<void>();
const untilLetGo = () => {
  held++;
  return gate.promise.finally(() => held--);
};

const at = (path: string): Endpoint & { readonly success: { readonly status: 200; readonly body: null } } =>
  endpoint({
    method: 'GET',
    path: `/${path}/{secret}`,
    id: path,
    tag: 'test',
    summary: path,
    access: 'public',
    params: strict({ secret: Type.String() }),
    success: { status: 200, body: null },
  });

async function* endless(): AsyncGenerator<string> {
  drawing++;
  try {
    for (;;) {
      // Others have their turn.
      await nextTurn();
      yield 'x'.repeat(64 * 1024);
    }
  } finally {
    drawing--;
  }
}

beforeAll(async () => {
  web = createWebServer({
    logLevel: 'trace',
    trustProxy: [],
    // As the database's room does: a connection that broke is one of its own.
    translate: (cause) =>
      cause instanceof Error && 'code' in cause && cause.code === 'ECONNRESET'
        ? new Problem('unavailable', 'The database is away.', { retryAfter: 1, cause })
        : undefined,
    logTo: { write: (line) => void log.push(line) },
  });
  const { route, app } = createRouter(web.app, {
    authenticate: async () => anonymous,
    known: () => anonymous,
    seedIsOpen: false,
    refuseUnseen: async () => {},
  });
  route(at('endless'), async ({ reply }) => {
    await reply.send(Readable.from(endless()));
    return undefined;
  });
  route(at('late'), async ({ reply }) => {
    await untilLetGo();
    await reply.send(Readable.from(endless()));
    return undefined;
  });
  route(at('failing'), async ({ reply }) => {
    async function* lines() {
      yield 'x';
      await untilLetGo();
      throw new Error('the source failed');
    }
    await reply.send(Readable.from(lines()));
    return undefined;
  });
  route(endpoint({ ...at('upload'), method: 'POST', uploads: ['text/csv'] }), async ({ request }) => {
    uploads++;
    try {
      for await (const _ of uploadOf(request).stream ?? []);
    } finally {
      uploads--;
    }
    return undefined;
  });
  app.get('/twice/:secret', (_request, reply) => {
    reply.send('one');
    reply.send('two');
  });
  app.get('/broken/:secret', async (request) => {
    throw Object.assign(new Error(`in ${request.url}`), { code: 'FST_ERR_REP_ALREADY_SENT' });
  });
  await app.listen({ host: '127.0.0.1', port: 0 });
  port = (app.server.address() as AddressInfo).port;
});
afterAll(() => web.app.close());
beforeEach(() => {
  log.length = 0;
  gate = Promise.withResolvers();
});

/** Until all connections are closed and no call goes on, and the event loop has had turns enough to log it. */
async function settled(): Promise<void> {
  await expect
    .poll(() => [web.tracker.connections.size, web.tracker.underWay, held, drawing, uploads])
    .toEqual([0, 0, 0, 0, 0]);
  for (let turns = 0; turns < 20; turns++) await nextTurn();
}

const get = (path: string) => `GET /${path}/${SECRET} HTTP/1.1\r\nHost: x\r\n\r\n`;

it('a client that leaves a download early is logged nowhere, and what it is drawn from is let go', async () => {
  const wire = await open(port);
  wire.write(get('endless'));
  await once(wire.socket, 'data');
  expect(drawing).toBe(1);
  wire.socket.destroy();
  await settled();
  expect(log).toEqual([]);
});

it('nor is one that left before the first byte', async () => {
  const wire = await open(port);
  wire.write(get('late'));
  await expect.poll(() => held).toBe(1);
  wire.socket.destroy();
  await expect.poll(() => web.tracker.connections.size).toBe(0);
  gate.resolve();
  await settled();
  expect(log).toEqual([]);
});

it('nor one that was cut off since it does not read', async () => {
  const wire = await open(port);
  wire.socket.pause();
  wire.write(get('endless'));
  await expect.poll(() => drawing).toBe(1);
  for (const { socket } of web.tracker.connections.values()) socket.destroy();
  await settled();
  expect(log).toEqual([]);
  wire.socket.destroy();
});

it('nor one whose connection is reset, as browsers and kills do', async () => {
  const wire = await open(port);
  wire.write(get('endless'));
  await once(wire.socket, 'data');
  wire.socket.resetAndDestroy();
  await settled();
  expect(log).toEqual([]);
});

it('nor one that leaves others behind it on its connection: nothing goes on for them either', async () => {
  const wire = await open(port);
  wire.write(get('late') + get('endless').repeat(3));
  await expect.poll(() => drawing, { interval: 5 }).toBe(3);
  wire.socket.destroy();
  await expect.poll(() => drawing).toBe(0);
  gate.resolve();
  await settled();
  expect(log).toEqual([]);
});

it('nor one that breaks off its upload, which is no connection of the database', async () => {
  const wire = await open(port);
  wire.write(
    `POST /upload/${SECRET} HTTP/1.1\r\nHost: x\r\nContent-Type: text/csv\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n`,
  );
  await expect.poll(() => uploads).toBe(1);
  wire.socket.destroy();
  await settled();
  expect(log).toEqual([]);
});

it('an answer that we could not finish is logged once, without the path', async () => {
  const wire = await open(port);
  wire.write(get('failing'));
  await once(wire.socket, 'data');
  gate.resolve();
  await wire.ended;
  expect(log.map((line) => JSON.parse(line))).toMatchObject([
    { level: 50, msg: 'answer broke off', route: '/failing/:secret', err: { message: 'the source failed' } },
  ]);
  expect(log.join('')).not.toContain(SECRET);
});

it('what the framework itself complains of is logged without the path', async () => {
  expect((await exchange(port, get('twice'))).status).toBe(200);
  expect((await exchange(port, get('broken'))).status).toBe(500);
  expect(log.map((line) => JSON.parse(line))).toMatchObject([
    { level: 40, msg: 'fastify error', err: { code: 'FST_ERR_REP_ALREADY_SENT' } },
    { level: 50, msg: 'call failed', route: '/broken/:secret', err: { code: 'FST_ERR_REP_ALREADY_SENT' } },
  ]);
  expect(log.join('')).not.toContain(SECRET);
});
