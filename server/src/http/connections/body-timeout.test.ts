import { connect } from 'node:net';
import { createDatabase, type TestDatabase } from '@kohort/testkit/database.ts';
import { eventually, untilPasses } from '@kohort/testkit/eventually.ts';
import { exchange, open, type Wire } from '@kohort/testkit/wire.ts';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { type Listening, listen } from '../../../test/listen.ts';
import { ADMIN_PASSWORD } from '../../../test/service.ts';
import { createWebServer } from '../server.ts';
import type { Tracker } from './tracker.ts';

/** Far longer than any step of a test takes: time passes as the tests say. */
const limits = { bodyMs: 60_000, restMs: 30_000, sweepEveryMs: 5 };

/** Milliseconds by which the clock is ahead of the real one. */
let ahead = 0;
beforeAll(() => {
  const real = performance.now.bind(performance);
  vi.spyOn(performance, 'now').mockImplementation(() => real() + ahead);
});
afterAll(() => void vi.restoreAllMocks());

/** Lets time pass for the connections of a server, which has looked at them before and after. */
function timeOf(tracker: Tracker): (ms: number) => Promise<void> {
  let sweeps = 0;
  tracker.onSweep(() => sweeps++);
  const swept = async () => {
    const before = sweeps;
    // The one under way may have passed what happened since.
    await eventually(() => sweeps > before + 1 || tracker.connections.size === 0);
  };
  return async (ms) => {
    await swept();
    ahead += ms;
    await swept();
  };
}

/** Sends a piece, and waits until it has been received. */
async function deliver(tracker: Tracker, { socket, write }: Wire, text: string): Promise<void> {
  write(text);
  const { localPort, bytesWritten } = socket;
  await eventually(() =>
    [...tracker.connections.keys()].some(
      ({ remotePort, bytesRead }) => remotePort === localPort && bytesRead === bytesWritten,
    ),
  );
}

describe('the time that a body has', () => {
  const { app, tracker } = createWebServer({ logLevel: 'silent', trustProxy: [], translate: () => undefined, limits });
  const pass = timeOf(tracker);
  let port = 0;
  beforeAll(async () => {
    app.addContentTypeParser('text/csv', (request, payload, done) => {
      app.letTakeItsTime(request.raw);
      done(null, payload);
    });
    app.post('/file', async ({ body }) => {
      let bytes = 0;
      for await (const chunk of body as AsyncIterable<Buffer>) bytes += chunk.length;
      return { bytes };
    });
    app.post('/json', async ({ body }) => body);
    port = Number(new URL(await app.listen({ port: 0, host: '127.0.0.1' })).port);
  });
  afterAll(() => app.close());

  const head = (path: string, type: string, length: number) =>
    `POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Type: ${type}\r\nContent-Length: ${length}\r\n\r\n`;

  /** Sends a byte every half of the time that a body has. */
  async function drip(wire: Wire, bytes: number): Promise<void> {
    for (let sent = 0; sent < bytes; sent++) {
      await deliver(tracker, wire, '1');
      await pass(limits.bodyMs / 2);
    }
  }

  it('is bounded in all, however busily it arrives: 408, and the connection ends', async () => {
    const wire = await open(port);
    await deliver(tracker, wire, head('/json', 'application/json', 10_000));
    let isAnswered = false;
    const answer = wire.next().finally(() => {
      isAnswered = true;
    });
    await drip(wire, 1);
    await deliver(tracker, wire, '1');
    expect(isAnswered).toBe(false);
    await pass(limits.bodyMs / 2);
    expect((await answer).status).toBe(408);
    await wire.ended;
  });

  it('is any for an upload that moves', async () => {
    const wire = await open(port);
    wire.write(head('/file', 'text/csv', 6));
    await drip(wire, 5);
    wire.write('1');
    expect((await wire.next()).status).toBe(200);
    wire.socket.destroy();
  });

  it('is bounded for an upload that stands still', async () => {
    const wire = await open(port);
    wire.write(head('/file', 'text/csv', 10));
    await drip(wire, 3);
    await pass(limits.bodyMs / 2);
    expect((await wire.next()).status).toBe(408);
    await wire.ended;
  });

  it('is bounded for what is left of one that was refused', async () => {
    const wire = await open(port);
    wire.write(head('/nowhere', 'text/csv', 10_000));
    expect((await wire.next()).status).toBe(404);
    await deliver(tracker, wire, '1');
    await pass(limits.restMs);
    await wire.ended;
  });

  it('is not counted between requests', async () => {
    const wire = await open(port);
    for (let i = 0; i < 3; i++) {
      wire.write(`${head('/json', 'application/json', 2)}[]`);
      expect((await wire.next()).status).toBe(200);
      await pass(2 * limits.bodyMs);
    }
    wire.socket.destroy();
  });
});

describe('the service', () => {
  let database: TestDatabase;
  let service: Listening;
  beforeAll(async () => {
    database = await createDatabase();
    service = await listen(database.url, { limits });
  });
  afterAll(async () => {
    await service.stop();
    await database.drop();
  });

  it('takes an upload that lasts longer than any other request may, and leaves nothing of one that breaks off', async () => {
    const post = async (path: string, body: object, token = '') => {
      const text = JSON.stringify(body);
      const answer = await exchange(
        service.port,
        `POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n${token && `Authorization: Bearer ${token}\r\n`}Content-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}`,
      );
      return JSON.parse(answer.text);
    };
    const { token } = await post('/auth/sign-in', { username: 'admin', password: ADMIN_PASSWORD });
    await post('/api/segments', { slug: 'SLOW' }, token);
    const head = `POST /api/segments/SLOW/import?unknown=create HTTP/1.1\r\nHost: x\r\nContent-Type: text/csv\r\nAuthorization: Bearer ${token}\r\nTransfer-Encoding: chunked\r\n\r\n`;
    const chunk = (text: string) => `${text.length.toString(16)}\r\n${text}\r\n`;

    const broken = connect({ port: service.port, host: '127.0.0.1' });
    broken.write(head + chunk('external_id\na\nb\n'));

    const wire = await open(service.port);
    const pass = timeOf(service.tracker);
    wire.write(head + chunk('external_id\n'));
    // It lasts longer than the limit that it is free of.
    for (let i = 0; i < 6; i++) {
      await deliver(service.tracker, wire, chunk(`slow${i}\n`));
      await pass(limits.bodyMs / 2);
      broken.destroy();
    }
    wire.write('0\r\n\r\n');
    const answer = await wire.next();
    expect(answer.status).toBe(202);
    wire.socket.destroy();

    const count = async (text: string) => (await service.db.query<{ n: number }>({ text, values: [] }))[0]?.n;
    expect(await count('SELECT count(*) AS n FROM jobs WHERE NOT internal')).toBe(1);
    await untilPasses(async () =>
      expect(await count(`SELECT count(*) AS n FROM jobs WHERE NOT internal AND state = 'done'`)).toBe(1),
    );
    expect(await count('SELECT count(*) AS n FROM memberships')).toBe(
      await count('SELECT added AS n FROM jobs WHERE NOT internal'),
    );
    const tables = `SELECT count(*) AS n FROM pg_class WHERE relnamespace = 'import_staging'::regnamespace`;
    await untilPasses(async () => expect(await count(tables)).toBe(0));
  });
});
