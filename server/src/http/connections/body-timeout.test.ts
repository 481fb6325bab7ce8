import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import fastify from 'fastify';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createDatabase, type TestDatabase } from '../../../test/database.ts';
import { ADMIN_PASSWORD } from '../../../test/service.ts';
import { exchange, type Listening, listen, open } from '../../../test/wire.ts';
import { boundArrivals } from './body-timeout.ts';

describe('the time that a body has', () => {
  const app = fastify();
  let port = 0;
  beforeAll(async () => {
    boundArrivals(app, 2_000);
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

  async function drip(text: string, pieces: number, pause: number): Promise<{ status: number; seconds: number }> {
    const wire = await open(port);
    const started = performance.now();
    wire.write(text);
    const dripping = (async () => {
      for (let i = 0; i < pieces; i++) {
        await sleep(pause);
        wire.write('1');
      }
    })();
    const { status } = await wire.next();
    wire.socket.destroy();
    await dripping;
    return { status, seconds: (performance.now() - started) / 1000 };
  }

  it('is bounded in all, however busily it arrives', async () => {
    const { status, seconds } = await drip(head('/json', 'application/json', 100), 12, 400);
    expect(status).toBe(408);
    expect(seconds).toBeLessThan(7);
  });

  it('is any for an upload that moves', async () => {
    expect(await drip(head('/file', 'text/csv', 10), 10, 400)).toMatchObject({ status: 200 });
  });

  it('is bounded for an upload that stands still', async () => {
    expect(await drip(head('/file', 'text/csv', 10), 5, 10)).toMatchObject({ status: 408 });
  });

  it('is not counted between requests', async () => {
    const wire = await open(port);
    for (let i = 0; i < 2; i++) {
      wire.write(`${head('/json', 'application/json', 2)}[]`);
      expect((await wire.next()).status).toBe(200);
      await sleep(2_500);
    }
    wire.socket.destroy();
  });
});

describe('the service', () => {
  let database: TestDatabase;
  let service: Listening;
  beforeAll(async () => {
    database = await createDatabase();
    service = await listen(database.url);
  });
  afterAll(async () => {
    await service.stop();
    await database.drop();
  });

  it('takes an upload that lasts longer than any other request may, and leaves nothing of one that breaks off', {
    timeout: 60_000,
  }, async () => {
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
    for (let i = 0; performance.now() - started < 36_000; i++) {
      wire.write(chunk(`slow${i}\n`));
      await sleep(3_000);
      broken.destroy();
    }
    wire.write('0\r\n\r\n');
    const answer = await wire.next();
    expect(answer.status).toBe(202);
    wire.socket.destroy();

    const count = async (text: string) => (await service.db.query<{ n: number }>({ text, values: [] }))[0]?.n;
    expect(await count('SELECT count(*) AS n FROM jobs')).toBe(1);
    for (let i = 0; (await count(`SELECT count(*) AS n FROM jobs WHERE state = 'done'`)) !== 1 && i < 100; i++)
      await sleep(100);
    expect(await count('SELECT count(*) AS n FROM memberships')).toBe(await count('SELECT added AS n FROM jobs'));
    for (
      let i = 0;
      (await count(`SELECT count(*) AS n FROM pg_class WHERE relnamespace = 'import_staging'::regnamespace`)) !== 0 &&
      i < 100;
      i++
    )
      await sleep(100);
    expect(await count(`SELECT count(*) AS n FROM pg_class WHERE relnamespace = 'import_staging'::regnamespace`)).toBe(
      0,
    );
  });
});
