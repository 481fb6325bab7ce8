import { createDatabase, type TestDatabase } from '@kohort/testkit/database.ts';
import { exchange, open, type RawAnswer } from '@kohort/testkit/wire.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Listening, listen } from '../../test/listen.ts';
import { ADMIN_PASSWORD } from '../../test/service.ts';
import { isHost } from './host.ts';

let database: TestDatabase;
let service: Listening;
let admin: string;

/** A call with exactly these header lines. */
async function send(line: string, headers: readonly string[], body = ''): Promise<RawAnswer> {
  const version = / HTTP\/\S+$/.test(line) ? '' : ' HTTP/1.1';
  const length = body === '' ? [] : ['Content-Type: application/json', `Content-Length: ${body.length}`];
  return exchange(service.port, `${[line + version, ...headers, ...length].join('\r\n')}\r\n\r\n${body}`);
}

const bearer = () => `Authorization: Bearer ${admin}`;
const report = (headers: readonly string[], version = '') =>
  send(`POST /api/reports${version}`, [bearer(), ...headers], '{"month":"2026-11"}');
const codeOf = ({ status, text }: RawAnswer) => [status, status < 400 ? undefined : JSON.parse(text).code];

beforeAll(async () => {
  database = await createDatabase();
  service = await listen(database.url, { env: { HOST: 'kohort.lan', TRUST_PROXY: 'loopback' } });
  const credentials = JSON.stringify({ username: 'admin', password: ADMIN_PASSWORD });
  admin = JSON.parse((await send('POST /auth/sign-in', ['Host: x'], credentials)).text).token;
});
afterAll(async () => {
  await service.stop();
  await database.drop();
});

describe('Host', () => {
  const good = ['x', 'localhost:8000', 'avito_test:80', 'a.b-c.example.', '127.0.0.1', '[::1]:8000', '[::]', 'x:65535'];
  const bad = [
    '',
    ' ',
    'evil"><script>:99 x',
    'evil.com/path?',
    'user@evil.com',
    'a b',
    'a,b',
    'x:',
    ':80',
    'x:65536',
    'x:y',
    'x:1:2',
    '::1',
    '[::1',
    '[1.2.3.4]',
    '[]',
    'é',
    `${'x'.repeat(256)}`,
  ];

  it('is one host[:port], and nothing else', () => {
    expect(good.filter((text) => !isHost(text))).toEqual([]);
    expect(bad.filter((text) => isHost(text))).toEqual([]);
    expect(isHost('x'.repeat(255))).toBe(true);
  });

  it('that is none is 400 on every call, by whatever way it is answered', async () => {
    for (const host of bad) {
      for (const line of ['GET /api/users/1/segments', 'GET /healthz', 'GET /nothing']) {
        const answer = await send(line, [`Host: ${host}`]);
        expect([host, line, ...codeOf(answer)]).toEqual([host, line, 400, 'malformed']);
      }
      expect(codeOf(await send('POST /api/users/1/segments', [`Host: ${host}`], '{"slug":"X"}'))[1]).toBe('malformed');
      expect(codeOf(await report([`Host: ${host}`]))[1]).toBe('malformed');
    }
  });

  it('that is repeated is 400, the same or another', async () => {
    for (const second of ['x', 'y', '']) {
      for (const line of ['GET /api/users/1/segments', 'GET /healthz']) {
        expect(codeOf(await send(line, ['Host: x', `Host: ${second}`]))).toEqual([400, 'malformed']);
      }
    }
  });

  it('that is plain stands in the link of a report, and what a proxy forwards only if it is plain too', async () => {
    for (const [headers, origin] of [
      [['Host: [::1]:8000'], 'http://[::1]:8000'],
      [['Host: inner', 'X-Forwarded-Host: outer.example', 'X-Forwarded-Proto: https'], 'https://outer.example'],
      [['Host: inner', 'X-Forwarded-Host: evil"><script>', 'X-Forwarded-Proto: javascript'], 'http://inner'],
    ] as const) {
      const { url } = JSON.parse((await report(headers)).text);
      expect(url.startsWith(`${origin}/api/reports/`)).toBe(true);
    }
  });

  it('may be missing in HTTP/1.0 alone: then a link leads to where the call came in', async () => {
    const answer = await report([], ' HTTP/1.0');
    expect(answer.status).toBe(201);
    const url = new URL(JSON.parse(answer.text).url);
    expect(url.origin).toBe(`http://127.0.0.1:${service.port}`);
    expect((await fetch(url)).status).toBe(200);
    expect((await send('GET /api/users/1/segments HTTP/1.0', [])).status).toBe(200);
    expect(codeOf(await report([]))).toEqual([400, 'malformed']);
  });
});

describe('in evaluation mode a page whose name was made to point to us', () => {
  const seed = [
    ['GET /api/users/1/segments', ''],
    ['POST /api/users/1/segments', '{"slug":"Rebound"}'],
    ['POST /api/segments', '{"slug":"Made_by_page"}'],
    ['DELETE /api/segments/Rebound', ''],
    ['POST /auth/sign-in', '{"username":"admin","password":"x"}'],
  ] as const;
  const page = ['Host: evil.example:8000', 'Origin: http://evil.example:8000'];

  it('is refused where it has no token', async () => {
    for (const sign of [page, ['Host: evil.example', 'Sec-Fetch-Site: same-origin']]) {
      for (const [line, body] of seed) {
        expect([line, ...codeOf(await send(line, sign, body))]).toEqual([line, 403, 'forbidden']);
      }
    }
    expect((await send('GET /api/users/1/segments', [...page, bearer()])).status).toBe(200);
    expect((await send('GET /docs', page)).status).toBe(200);
  });

  it('one of ours is not, nor a service that calls us by any name', async () => {
    for (const host of ['localhost:8000', 'a.localhost', '127.0.0.1:8000', '10.1.2.3', '[::1]:8000', 'KOHORT.lan:1']) {
      const headers = [`Host: ${host}`, `Origin: http://${host}`, 'Sec-Fetch-Site: same-origin'];
      expect([host, (await send('GET /api/users/1/segments', headers)).status]).toEqual([host, 200]);
    }
    for (const host of ['avito_test:8000', 'evil.example']) {
      expect([host, (await send('GET /api/users/1/segments', [`Host: ${host}`])).status]).toEqual([host, 200]);
    }
  });
});

describe('lines that are repeated, and framing we do not know', () => {
  it('two credentials are 400, not the first of them', async () => {
    for (const line of ['GET /api/users/1/segments', 'GET /api/segments']) {
      for (const second of [bearer(), 'Authorization: Bearer other', 'Authorization:']) {
        expect(codeOf(await send(line, ['Host: x', bearer(), second]))).toEqual([400, 'malformed']);
      }
    }
    expect((await send('GET /api/segments', ['Host: x', 'Authorization: Bearer a,b'])).status).toBe(401);
  });

  it('two idempotency keys are 400, one with a comma is one', async () => {
    const users = (...keys: string[]) =>
      send('POST /api/users', ['Host: x', bearer(), ...keys.map((key) => `Idempotency-Key: ${key}`)], '{"name":"n"}');
    expect(codeOf(await users('a', 'b'))).toEqual([400, 'malformed']);
    expect((await users('a, b')).status).toBe(201);
  });

  it('a transfer coding other than chunked is 400', async () => {
    const head = ['Host: x', bearer(), 'Content-Type: application/json'];
    const body = '2\r\n{}\r\n0\r\n\r\n';
    for (const coding of ['gzip, chunked', 'chunked, chunked', 'x, chunked']) {
      const bytes = `${['POST /api/users HTTP/1.1', ...head, `Transfer-Encoding: ${coding}`].join('\r\n')}\r\n\r\n${body}`;
      expect([coding, ...codeOf(await exchange(service.port, bytes))]).toEqual([coding, 400, 'malformed']);
    }
    const bytes = `${['POST /api/users HTTP/1.1', ...head, 'Transfer-Encoding: Chunked'].join('\r\n')}\r\n\r\n${body}`;
    expect((await exchange(service.port, bytes)).status).toBe(201);
  });

  it('CONNECT is 405, and ends the connection', async () => {
    const wire = await open(service.port);
    wire.write('CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n');
    const answer = await wire.next();
    expect(codeOf(answer)).toEqual([405, 'method_not_allowed']);
    expect([answer.headers.allow, answer.headers['x-request-id']]).toEqual([
      expect.stringMatching(/GET/),
      expect.any(String),
    ]);
    await wire.ended;
  });
});
