import sql from 'sql-template-tag';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type Service, startService } from '../../../test/service.ts';
import { ensureAdmin } from './first-admin.ts';

describe('the first admin', () => {
  let service: Service;
  beforeAll(async () => {
    service = await startService({ mode: 'evaluation', env: { TRUST_PROXY: '127.0.0.1' } });
  });
  afterAll(() => service.stop());

  beforeEach(async () => {
    // As on the first start, after one that was cut short: the first ids are drawn and lost.
    await service.db.query(sql`TRUNCATE accounts, sessions, users`);
    await service.db.query(sql`SELECT setval(pg_get_serial_sequence('users', 'id'), 3)`);
  });

  const signIn = (password: string) => service.call('POST', '/auth/sign-in', { body: { username: 'admin', password } });

  it('is user 1, with a random password, made by one of eight instances that start at once', async () => {
    const printed = await Promise.all(
      Array.from({ length: 8 }, () => ensureAdmin(service.db, { mode: 'production', password: undefined })),
    );
    const passwords = printed.filter((one) => one !== undefined);
    expect(passwords).toHaveLength(1);
    expect(passwords[0]?.length).toBeGreaterThanOrEqual(20);
    const { status, body } = await signIn(passwords[0] ?? '');
    expect(status).toBe(200);
    const me = await service.call('GET', '/auth/me', { token: body.token });
    expect(me.body).toEqual({ id: 1, username: 'admin', name: 'admin', role: 'admin' });
    const next = await service.call('POST', '/auth/sign-up', { body: { name: 'x', username: 'next', password: 'x' } });
    expect(next.body).toEqual({ id: 2 });
    expect(await ensureAdmin(service.db, { mode: 'production', password: undefined })).toBeUndefined();
  });

  it('takes ADMIN_PASSWORD, and prints nothing', async () => {
    expect(await ensureAdmin(service.db, { mode: 'evaluation', password: 'given' })).toBeUndefined();
    expect((await signIn('given')).status).toBe(200);
    expect(await ensureAdmin(service.db, { mode: 'evaluation', password: 'later' })).toBeUndefined();
    expect((await signIn('later')).status).toBe(401);
  });

  it.each([
    ['production', 'short'],
    ['production', 'password1'],
    ['evaluation', 'x'.repeat(129)],
  ] as const)('is refused in %s with the password %s', async (mode, password) => {
    const start = ensureAdmin(service.db, { mode, password });
    await expect(start).rejects.toMatchObject({
      name: 'ConfigError',
      message: expect.stringMatching(/^ADMIN_PASSWORD (must have|is among)/),
    });
  });
});
