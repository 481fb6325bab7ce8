import { createDatabase, type TestDatabase } from '@kohort/testkit/database.ts';
import { call, signIn } from '@kohort/testkit/http.ts';
import { databaseEnv } from '@kohort/testkit/pooler.ts';
import { ADMIN_PASSWORD, launch, type Running } from '@kohort/testkit/service.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { everythingIsThere, sevenCalls } from './seed.ts';

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
