import { call, signIn } from '@kohort/testkit/http.ts';
import { type DataFolder, dataFolder, launch, type Running } from '@kohort/testkit/service.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { everythingIsThere, sevenCalls } from './seed.ts';

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
