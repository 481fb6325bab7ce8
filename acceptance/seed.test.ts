import { createDatabase, type TestDatabase } from '@kohort/testkit/database.ts';
import { type Answer, call, signIn } from '@kohort/testkit/http.ts';
import { databaseEnv } from '@kohort/testkit/pooler.ts';
import { ADMIN_PASSWORD, type DataFolder, dataFolder, launch, type Running } from '@kohort/testkit/service.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const JSON_TYPE = 'application/json; charset=utf-8';
const ok = (text: string) => ({ status: 200, type: JSON_TYPE, text });
const plain = ({ status, type, text }: Answer) => ({ status, type, text });

/** The seven calls, byte for byte; `token` is undefined in evaluation. */
async function sevenCalls(url: string, token: () => string | undefined): Promise<void> {
  const ask = async (method: string, path: string, body?: string) =>
    plain(await call(url, method, path, { token: token(), ...(body !== undefined && { body }) }));

  expect(
    plain(
      await call(url, 'POST', '/auth/sign-up', { body: '{"name":"Ivan","username":"ivan","password":"qwerty-12345"}' }),
    ),
  ).toEqual(ok('{"id":2}'));
  const signedIn = plain(
    await call(url, 'POST', '/auth/sign-in', { body: '{"username":"ivan","password":"qwerty-12345"}' }),
  );
  expect(signedIn).toMatchObject({ status: 200, type: JSON_TYPE });
  expect(signedIn.text).toMatch(/^\{"token":"[\w-]+\.[\w-]+\.[\w-]+"\}$/);

  expect(await ask('POST', '/api/segments', '{"slug":"AVITO_VOICE_MESSAGES"}')).toEqual(ok('{"id":1}'));
  expect(await ask('POST', '/api/segments', '{"slug": "AVITO_DISCOUNT_50"}')).toEqual(ok('{"id":2}'));
  expect(await ask('POST', '/api/segments', '{"slug":"AVITO_PERFORMANCE_VAS"}')).toEqual(ok('{"id":3}'));

  expect(await ask('POST', '/api/users/2/segments', '{"slug":"AVITO_VOICE_MESSAGES"}')).toEqual(ok('{"status":"ok"}'));
  expect(await ask('POST', '/api/users/2/segments', '{"slug":"AVITO_DISCOUNT_50"}')).toEqual(ok('{"status":"ok"}'));
  expect(await ask('POST', '/api/users/2/segments', '{"slug":"AVITO_PERFORMANCE_VAS","ttl":3600}')).toEqual(
    ok('{"status":"ok"}'),
  );
  expect(await ask('GET', '/api/users/2/segments')).toEqual(
    ok('{"segments":["AVITO_DISCOUNT_50","AVITO_PERFORMANCE_VAS","AVITO_VOICE_MESSAGES"]}'),
  );

  // As the seed's own examples do it: Content-Type: application/json, and no body.
  expect(await ask('DELETE', '/api/users/2/AVITO_VOICE_MESSAGES')).toEqual(ok('{"status":"ok"}'));
  expect(await ask('DELETE', '/api/users/2/segments/AVITO_PERFORMANCE_VAS')).toEqual(ok('{"status":"ok"}'));
  expect(await ask('GET', '/api/users/2/segments')).toEqual(ok('{"segments":["AVITO_DISCOUNT_50"]}'));
  expect(await ask('DELETE', '/api/segments/AVITO_PERFORMANCE_VAS')).toEqual(ok('{"status":"ok"}'));
  expect((await ask('DELETE', '/api/segments/AVITO_PERFORMANCE_VAS')).status).toBe(404);
}

/** What the seven calls left behind. */
async function everythingIsThere(url: string, token?: string): Promise<void> {
  expect(plain(await call(url, 'GET', '/api/users/2/segments', { token }))).toEqual(
    ok('{"segments":["AVITO_DISCOUNT_50"]}'),
  );
  expect((await call(url, 'POST', '/api/segments', { token, body: '{"slug":"AVITO_DISCOUNT_50"}' })).status).toBe(409);
  const signedIn = await call(url, 'POST', '/auth/sign-in', { body: '{"username":"IVAN","password":"qwerty-12345"}' });
  expect(signedIn.status).toBe(200);
}

describe('the seven calls in evaluation mode, without a token', () => {
  let data: DataFolder;
  let service: Running;
  beforeAll(async () => {
    data = await dataFolder();
    service = await launch({ DATA_DIR: data.folder });
  });
  afterAll(async () => {
    await service.kill('SIGTERM');
    await data.remove();
  });

  it('is ready on an empty folder, and says where, which mode, and the password it drew', async () => {
    expect((await call(service.url, 'GET', '/readyz')).status).toBe(200);
    expect(service.stdout()).toMatch(/evaluation mode/);
    const password = /account admin was created with the password (\S+)/.exec(service.stdout())?.[1] ?? '';
    expect(password.length).toBeGreaterThanOrEqual(16);
    const token = await signIn(service.url, 'admin', password);
    const me = await call(service.url, 'GET', '/auth/me', { token });
    expect(me.text).toBe('{"id":1,"username":"admin","name":"admin","role":"admin"}');
  });

  it('answer byte for byte', () => sevenCalls(service.url, () => undefined));

  it('are not anonymous with a bad token, and work with any good one', async () => {
    expect((await call(service.url, 'GET', '/api/users/2/segments', { token: 'bad' })).status).toBe(401);
    const token = await signIn(service.url, 'ivan', 'qwerty-12345');
    expect((await call(service.url, 'GET', '/api/users/1/segments', { token })).status).toBe(200);
    expect((await call(service.url, 'GET', '/api/segments', { token })).status).toBe(403);
    expect((await call(service.url, 'GET', '/api/segments')).status).toBe(401);
  });

  it('find everything again after a stop, which exits 0, and a start', async () => {
    const token = await signIn(service.url, 'ivan', 'qwerty-12345');
    expect(await service.kill('SIGTERM')).toMatchObject({ code: 0, stderr: '' });
    service = await launch({ DATA_DIR: data.folder });
    expect(service.stdout()).not.toMatch(/password/);
    await everythingIsThere(service.url);
    // The secret is kept in DATA_DIR, so sessions outlive the restart.
    expect((await call(service.url, 'GET', '/auth/me', { token })).status).toBe(200);
  });
});

describe('the seven calls in production mode, with a token', () => {
  let database: TestDatabase;
  let service: Running;
  let token: string;
  beforeAll(async () => {
    database = await createDatabase({ migrated: false });
    service = await launch(env());
  });
  afterAll(async () => {
    await service.kill('SIGTERM');
    await database.drop();
  });
  const env = () => ({
    ...databaseEnv(database.url),
    JWT_SECRET: 'Zk3v0m8b1s5Qx7wT2rYp9nLd4hGc6jUf',
    ADMIN_PASSWORD,
    HOST: '127.0.0.1',
  });

  it('start with an admin of the given password, which is not printed', async () => {
    expect(service.stdout()).not.toMatch(/password|evaluation/);
    token = await signIn(service.url, 'admin', ADMIN_PASSWORD);
  });

  it('are 401 without a token', async () => {
    for (const [method, path, body] of [
      ['POST', '/api/segments', '{"slug":"AVITO_VOICE_MESSAGES"}'],
      ['DELETE', '/api/segments/AVITO_VOICE_MESSAGES'],
      ['POST', '/api/users/2/segments', '{"slug":"AVITO_VOICE_MESSAGES"}'],
      ['DELETE', '/api/users/2/AVITO_VOICE_MESSAGES'],
      ['GET', '/api/users/2/segments'],
    ] as const) {
      const answer = await call(service.url, method, path, { ...(body && { body }) });
      expect([path, answer.status, answer.headers.get('www-authenticate')]).toEqual([
        path,
        401,
        'Bearer realm="kohort"',
      ]);
    }
  });

  it('answer byte for byte', () => sevenCalls(service.url, () => token));

  it('are 403 for a member, except about themselves', async () => {
    const member = await signIn(service.url, 'ivan', 'qwerty-12345');
    expect((await call(service.url, 'GET', '/api/users/2/segments', { token: member })).status).toBe(200);
    expect((await call(service.url, 'GET', '/api/users/1/segments', { token: member })).status).toBe(403);
    expect((await call(service.url, 'POST', '/api/segments', { token: member, body: '{"slug":"X"}' })).status).toBe(
      403,
    );
  });

  it('find everything again after a restart, and the token is still good', async () => {
    expect(await service.kill('SIGTERM')).toMatchObject({ code: 0, stderr: '' });
    service = await launch(env());
    await everythingIsThere(service.url, token);
  });
});
