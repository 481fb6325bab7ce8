import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { createDatabase, type TestDatabase } from '@kohort/testkit/database.ts';
import { untilPasses } from '@kohort/testkit/eventually.ts';
import { exchange, open, type Wire } from '@kohort/testkit/wire.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Listening, listen } from '../../../test/listen.ts';
import { ADMIN_PASSWORD } from '../../../test/service.ts';
import { createWebServer } from '../server.ts';

const limits = { bodyMs: 400, restMs: 200, sweepEveryMs: 20 };

describe('the time that a body has', () => {
  const { app } = createWebServer({ logLevel: 'silent', trustProxy: [], translate: () => undefined, limits });
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

  /** Sends a byte every 50 ms until there are `pieces` of them, or an answer has come. */
  async function drip(text: string, pieces: number): Promise<{ status: number; sent: number; wire: Wire }> {
    const wire = await open(port);
    wire.write(text);
    let sent = 0;
    const dripping = setInterval(() => sent < pieces && sent++ >= 0 && wire.write('1'), 50);
    const { status } = await wire.next().finally(() => clearInterval(dripping));
    return { status, sent, wire };
  }

  it('is bounded in all, however busily it arrives: 408, and the connection ends', async () => {
    const { status, sent, wire } = await drip(head('/json', 'application/json', 10_000), 9_999);
    expect(status).toBe(408);
    expect(sent).toBeLessThan(9_999);
    await wire.ended;
  });

  it('is any for an upload that moves', async () => {
    const { status, wire } = await drip(head('/file', 'text/csv', 30), 30);
    expect(status).toBe(200);
    wire.socket.destroy();
  });

  it('is bounded for an upload that stands still', async () => {
    expect(await drip(head('/file', 'text/csv', 10), 5)).toMatchObject({ status: 408, sent: 5 });
  });

  it('is bounded for what is left of one that was refused', async () => {
    const { status, wire } = await drip(head('/nowhere', 'text/csv', 10_000), 3);
    expect(status).toBe(404);
    await wire.ended;
  });

  it('is not counted between requests', async () => {
    const wire = await open(port);
    for (let i = 0; i < 2; i++) {
      wire.write(`${head('/json', 'application/json', 2)}[]`);
      expect((await wire.next()).status).toBe(200);
      // Nothing is to happen, though the limit is long over.
      await sleep(2 * limits.bodyMs);
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
    const started = performance.now();
    wire.write(head + chunk('external_id\n'));
    // It has to last longer than the limit that it is free of.
    for (let i = 0; performance.now() - started < 3 * limits.bodyMs; i++) {
      wire.write(chunk(`slow${i}\n`));
      await sleep(limits.bodyMs / 8);
      broken.destroy();
    }
    wire.write('0\r\n\r\n');
    const answer = await wire.next();
    expect(answer.status).toBe(202);
    wire.socket.destroy();

    const count = async (text: string) => (await service.db.query<{ n: number }>({ text, values: [] }))[0]?.n;
    expect(await count('SELECT count(*) AS n FROM jobs')).toBe(1);
    await untilPasses(async () => expect(await count(`SELECT count(*) AS n FROM jobs WHERE state = 'done'`)).toBe(1));
    expect(await count('SELECT count(*) AS n FROM memberships')).toBe(await count('SELECT added AS n FROM jobs'));
    const tables = `SELECT count(*) AS n FROM pg_class WHERE relnamespace = 'import_staging'::regnamespace`;
    await untilPasses(async () => expect(await count(tables)).toBe(0));
  });
});
