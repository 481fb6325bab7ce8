import { createHash } from 'node:crypto';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import { createDatabase, type TestDatabase } from '@kohort/testkit/database.ts';
import { temporaryFolder } from '@kohort/testkit/folder.ts';
import { exchange, type RawAnswer } from '@kohort/testkit/wire.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Listening, listen } from '../../test/listen.ts';
import { ADMIN_PASSWORD } from '../../test/service.ts';
import { ariaStyleHash } from './console.ts';

const page = '<!doctype html><base href="/ui/" /><script src="./assets/app-1a2b.js"></script>';
const html = 'Accept: text/html,application/xhtml+xml,*/*;q=0.8';
const sameOrigin = 'Sec-Fetch-Site: same-origin';
let database: TestDatabase;
let built: string;
let service: Listening;
let behindProxy: Listening;

beforeAll(async () => {
  built = await temporaryFolder('console');
  await mkdir(join(built, 'assets'));
  await writeFile(join(built, 'index.html'), page);
  await writeFile(join(built, 'icon.svg'), '<svg xmlns="http://www.w3.org/2000/svg"/>');
  const script = join(built, 'assets/app-1a2b.js');
  await writeFile(script, 'void 0');
  await writeFile(`${script}.br`, brotliCompressSync('void 0'));
  await writeFile(`${script}.gz`, gzipSync('void 0'));
  database = await createDatabase();
  service = await listen(database.url, { consoleFolder: built });
  behindProxy = await listen(database.url, {
    consoleFolder: built,
    env: { PUBLIC_URL: 'https://example.com/kohort/' },
    mode: 'production',
  });
});
afterAll(async () => {
  await service.stop();
  await behindProxy.stop();
  await database.drop();
  await rm(built, { recursive: true });
});

async function send(line: string, headers: readonly string[] = [], body = '', to = service): Promise<RawAnswer> {
  const length = body === '' ? [] : ['Content-Type: application/json', `Content-Length: ${body.length}`];
  return exchange(to.port, `${[`${line} HTTP/1.1`, 'Host: x', ...headers, ...length].join('\r\n')}\r\n\r\n${body}`);
}

async function signIn(headers: readonly string[] = [], to = service): Promise<{ set: string; cookie: string }> {
  const credentials = JSON.stringify({ username: 'admin', password: ADMIN_PASSWORD });
  const { status, headers: answered, text } = await send('POST /ui/session', headers, credentials, to);
  expect([status, text]).toEqual([204, '']);
  const set = answered['set-cookie'] ?? '';
  return { set, cookie: `Cookie: a=b; ${set.split(';')[0]}` };
}

describe('the console', () => {
  it('is where / leads a browser; programs get the index', async () => {
    expect(await send('GET /', [html])).toMatchObject({ status: 302, headers: { location: '/ui/', vary: 'accept' } });
    expect(await send('GET /ui', [html])).toMatchObject({ status: 308, headers: { location: '/ui/' } });
    for (const accept of [[], ['Accept: */*'], ['Accept: application/json']]) {
      expect(JSON.parse((await send('GET /', accept)).text)).toMatchObject({ openapi: 'openapi.json' });
    }
  });

  it('is one page for all of its addresses, by a policy without anything unsafe', async () => {
    for (const path of [
      '/ui/',
      '/ui/segments/A?tab=1',
      '/ui/users/ext%3Aa',
      '/ui/index.html',
      '/ui/..%2fpackage.json',
    ]) {
      const { status, text, headers } = await send(`GET ${path}`, [html]);
      expect([path, status, text]).toEqual([path, 200, page]);
      expect(headers).toMatchObject({
        'content-type': 'text/html; charset=utf-8',
        'x-content-type-options': 'nosniff',
        'cache-control': 'no-cache',
      });
      const policy = headers['content-security-policy'] ?? '';
      expect(policy).not.toMatch(/unsafe|https?:|\*/);
      for (const directive of ["default-src 'none'", "script-src 'self'", "connect-src 'self'"])
        expect(policy).toContain(directive);
      expect(policy).toContain("require-trusted-types-for 'script'");
    }
    expect((await send('HEAD /ui/', [html])).status).toBe(200);
  });

  it('is served compressed to clients that accept it, as it was compressed at build time', async () => {
    const path = 'GET /ui/assets/app-1a2b.js';
    for (const [accepts, encoding] of [
      ['br, gzip', 'br'],
      ['gzip, deflate', 'gzip'],
      ['identity', undefined],
    ] as const) {
      const { status, headers } = await send(path, [`Accept-Encoding: ${accepts}`]);
      expect([accepts, status, headers['content-encoding']]).toEqual([accepts, 200, encoding]);
      expect(headers).toMatchObject({
        vary: 'accept-encoding',
        'content-type': expect.stringMatching(/javascript; charset=utf-8/),
        'cache-control': 'public, max-age=31536000, immutable',
      });
    }
    for (const form of ['br', 'gz']) expect((await send(`${path}.${form}`)).status).toBe(404);
  });

  it('pins the one style that React Aria writes', () => {
    const style = '@layer {\n  [data-react-aria-pressable] {\n    touch-action: pan-x pan-y pinch-zoom;\n  }\n}';
    expect(ariaStyleHash).toBe(`sha256-${createHash('sha256').update(style).digest('base64')}`);
  });

  it('keeps assets for a year, other files not at all, and knows no others', async () => {
    expect(await send('GET /ui/assets/app-1a2b.js')).toMatchObject({
      status: 200,
      text: 'void 0',
      headers: { 'cache-control': 'public, max-age=31536000, immutable', 'x-content-type-options': 'nosniff' },
    });
    expect(await send('GET /ui/icon.svg')).toMatchObject({ status: 200, headers: { 'cache-control': 'no-cache' } });
    expect((await send('GET /ui/assets/app-old.js', [html])).status).toBe(404);
  });

  it('leaves its session to the calls: with other methods it is 405', async () => {
    for (const method of ['GET', 'HEAD', 'PUT']) {
      const { status, headers } = await send(`${method} /ui/session`, [html]);
      expect([method, status, headers.allow]).toEqual([method, 405, 'DELETE, POST']);
    }
  });

  it('says so where it is not built', async () => {
    const without = await listen(database.url, { consoleFolder: join(built, 'nowhere') });
    expect((await send('GET /ui/session', [], '', without)).status).toBe(405);
    const { status, text } = await send('GET /ui/', [html], '', without);
    expect([status, JSON.parse(text).detail]).toEqual([404, expect.stringContaining('npm run build')]);
    await without.stop();
  });
});

describe('a session of the console', () => {
  it('is an httpOnly cookie for pages of ours alone', async () => {
    const { set, cookie } = await signIn();
    expect(set).toMatch(/^kohort_session=[\w.-]+; Max-Age=43200; Path=\/; HttpOnly; SameSite=Strict$/);
    for (const proof of [sameOrigin, 'Origin: http://x']) {
      const me = await send('GET /auth/me', [cookie, proof]);
      expect([me.status, JSON.parse(me.text).username]).toEqual([200, 'admin']);
      expect((await send('GET /api/accounts', [cookie, proof])).status).toBe(200);
      expect((await send('POST /api/users', [cookie, proof], '{}')).status).toBe(201);
    }
  });

  const otherPages = [
    'Sec-Fetch-Site: same-site',
    'Sec-Fetch-Site: same-site\r\nOrigin: http://x',
    'Sec-Fetch-Site: cross-site',
    'Sec-Fetch-Site: none',
    'Origin: http://x:8001',
    'Origin: https://x',
    'Origin: null',
  ];

  it.each([...otherPages, 'X-Nothing: says who calls'])(
    'is refused with %s, also where strangers may call',
    async (proof) => {
      const { cookie } = await signIn();
      for (const call of ['GET /auth/me', 'GET /api/segments', 'GET /api/users/1/segments', 'GET /api/nowhere']) {
        expect([call, (await send(call, [cookie, proof])).status]).toEqual([call, 401]);
      }
      expect((await send('GET /auth/me', [cookie, sameOrigin])).status).toBe(200);
    },
  );

  it('counts on /api and /auth alone, not on /ofrep', async () => {
    const { cookie } = await signIn();
    const evaluation = '{"context":{"targetingKey":"ann"}}';
    const { status, text } = await send('POST /ofrep/v1/evaluate/flags', [cookie, sameOrigin], evaluation);
    expect([status, JSON.parse(text).errorCode]).toEqual([401, 'GENERAL']);
  });

  it.each(otherPages)('is not ended with %s', async (proof) => {
    const { cookie } = await signIn();
    expect((await send('DELETE /ui/session', [cookie, proof])).status).toBe(401);
    expect((await send('GET /auth/me', [cookie, sameOrigin])).status).toBe(200);
  });

  it('says nothing beside a token, and nothing of public calls', async () => {
    const { cookie } = await signIn();
    expect((await send('GET /auth/me', [cookie, sameOrigin, 'Authorization: Bearer x'])).status).toBe(401);
    const stale = 'Cookie: kohort_session=stale';
    expect((await send('GET /auth/me', [stale, sameOrigin])).status).toBe(401);
    await signIn([stale, sameOrigin]);
  });

  it('ends by DELETE, for the token too', async () => {
    const { cookie } = await signIn();
    const ended = await send('DELETE /ui/session', [cookie, sameOrigin]);
    expect([ended.status, ended.headers['set-cookie']]).toEqual([
      204,
      'kohort_session=; Max-Age=0; Path=/; HttpOnly; SameSite=Strict',
    ]);
    expect((await send('GET /auth/me', [cookie, sameOrigin])).status).toBe(401);
    expect((await send('DELETE /ui/session')).status).toBe(204);
  });

  it('ends for a program, too, which names no page', async () => {
    const { cookie } = await signIn();
    expect((await send('DELETE /ui/session', [cookie])).status).toBe(204);
    expect((await send('GET /auth/me', [cookie, sameOrigin])).status).toBe(401);
  });

  it('is not opened by a wrong password', async () => {
    const { status, headers } = await send('POST /ui/session', [], '{"username":"admin","password":"wrong"}');
    expect([status, headers['set-cookie']]).toEqual([401, undefined]);
  });
});

describe('behind a proxy, at PUBLIC_URL', () => {
  const proof = 'Origin: https://example.com';

  it('the cookie is Secure and of this host alone', async () => {
    const { set, cookie } = await signIn([], behindProxy);
    expect(set).toMatch(/^__Host-kohort_session=\S+; Max-Age=\d+; Path=\/; HttpOnly; SameSite=Strict; Secure$/);
    expect((await send('GET /auth/me', [cookie, proof], '', behindProxy)).status).toBe(200);
    expect((await send('GET /auth/me', [cookie, 'Origin: http://x'], '', behindProxy)).status).toBe(401);
    const plain = cookie.replace('__Host-', '');
    expect((await send('GET /auth/me', [plain, proof], '', behindProxy)).status).toBe(401);
  });

  it('everything works with the prefix and without, and links have it', async () => {
    const { cookie } = await signIn([], behindProxy);
    for (const prefix of ['', '/kohort']) {
      expect((await send(`GET ${prefix}/healthz`, [], '', behindProxy)).status).toBe(200);
      expect((await send(`GET ${prefix}/docs`, [html], '', behindProxy)).status).toBe(200);
      expect((await send(`GET ${prefix}/ui/`, [html], '', behindProxy)).text).toContain('<base href="/kohort/ui/" />');
      expect((await send(`GET ${prefix}/ui/assets/app-1a2b.js`, [], '', behindProxy)).status).toBe(200);
      const report = await send(`POST ${prefix}/api/reports`, [cookie, proof], '{"month":"2026-11"}', behindProxy);
      const { url } = JSON.parse(report.text);
      expect(url).toMatch(/^https:\/\/example\.com\/kohort\/api\/reports\//);
      expect((await send(`GET ${new URL(url).pathname}`, [], '', behindProxy)).status).toBe(200);
      const { text } = await send(`GET ${prefix}/openapi.json`, [], '', behindProxy);
      expect(JSON.parse(text).servers).toEqual([{ url: 'https://example.com/kohort' }]);
    }
    expect((await send('GET /kohortx/healthz', [], '', behindProxy)).status).toBe(404);
    expect((await send('GET /kohort', [html], '', behindProxy)).status).toBe(302);
  });
});
