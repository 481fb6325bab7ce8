import { eventually } from '@kohort/testkit/eventually.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ADMIN_PASSWORD, type Service, startService } from '../../../test/service.ts';

let service: Service;
/** Another one, once the first was disabled. */
let admin: string;
beforeAll(async () => {
  service = await startService({ mode: 'evaluation' });
  admin = service.admin;
});
afterAll(() => service.stop());

async function account(username: string): Promise<{ id: number; token: string }> {
  const { body } = await service.call('POST', '/auth/sign-up', {
    body: { name: `Name of ${username}`, username, password: 'secret' },
  });
  return { id: body.id, token: await signIn(username) };
}

async function signIn(username: string): Promise<string> {
  const { status, body } = await service.call('POST', '/auth/sign-in', { body: { username, password: 'secret' } });
  expect(status).toBe(200);
  return body.token;
}

const change = (id: number | string, body: unknown, token = admin) =>
  service.call('PATCH', `/api/accounts/${id}`, { token, body });
const list = (query: string, token = admin) => service.call('GET', `/api/accounts${query}`, { token });

describe('accounts', () => {
  it('are listed by id, page by page', async () => {
    for (const username of ['one', 'two', 'three']) await account(username);
    const all = await list('');
    expect(all.status).toBe(200);
    expect(all.body.next_cursor).toBeNull();
    expect(all.body.accounts[0]).toMatchObject({ id: 1, username: 'admin', role: 'admin', disabled: false });
    expect(all.body.accounts[1]).toEqual({
      id: 2,
      username: 'one',
      name: 'Name of one',
      role: 'member',
      disabled: false,
      created_at: expect.stringMatching(/^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$/),
    });
    const seen = [];
    let cursor = '';
    for (let page = 0; page < 4; page++) {
      const { body } = await list(`?limit=1${cursor}`);
      seen.push(...body.accounts);
      cursor = `&cursor=${encodeURIComponent(body.next_cursor)}`;
      expect(body.next_cursor === null).toBe(page === 3);
    }
    expect(seen).toEqual(all.body.accounts);
  });

  it.each(['?limit=0', '?limit=1001', '?limit=x', '?cursor=x', '?cursor=', '?page=2'])('refuse %s', async (query) => {
    expect((await list(query)).status).toBe(400);
  });

  it('take no cursor that was changed, or is of another list', async () => {
    const { next_cursor } = (await list('?limit=1')).body;
    const changed = next_cursor.slice(0, -1) + (next_cursor.endsWith('A') ? 'B' : 'A');
    expect((await list(`?cursor=${changed}`)).status).toBe(400);
    expect((await service.call('GET', `/api/keys?cursor=${next_cursor}`, { token: admin })).status).toBe(400);
  });

  it('are for admins only', async () => {
    const { id, token } = await account('curious');
    for (const role of ['member', 'viewer', 'editor']) {
      expect((await change(id, { role })).status).toBe(200);
      expect((await list('', token)).status, role).toBe(403);
      expect((await change(id, { role: 'admin' }, token)).status, role).toBe(403);
    }
    expect((await service.call('GET', '/api/accounts')).status).toBe(401);
    expect((await service.call('PATCH', `/api/accounts/${id}`, { body: {} })).status).toBe(401);
    const key = await service.call('POST', '/api/keys', { token: admin, body: { name: 'k', role: 'editor' } });
    expect((await list('', key.body.key)).status).toBe(403);
  });

  it('change role at once', async () => {
    const { id, token } = await account('riser');
    expect((await service.call('GET', '/api/users', { token })).status).toBe(403);
    expect(await change(id, { role: 'viewer' })).toMatchObject({ status: 200, body: { id, role: 'viewer' } });
    expect((await service.call('GET', '/api/users', { token })).status).toBe(200);
    expect((await service.call('GET', '/auth/me', { token })).body.role).toBe('viewer');
    expect((await change(id, { role: 'member' })).status).toBe(200);
    expect((await service.call('GET', '/api/users', { token })).status).toBe(403);
  });

  it('lose their sessions when disabled, for good', async () => {
    const { id, token } = await account('outcast');
    expect((await service.call('GET', '/auth/me', { token })).status).toBe(200);
    expect(await change(id, { disabled: true })).toMatchObject({ status: 200, body: { disabled: true } });
    expect((await service.call('GET', '/auth/me', { token })).status).toBe(401);
    expect(await change(id, { disabled: false })).toMatchObject({ status: 200, body: { disabled: false } });
    expect((await service.call('GET', '/auth/me', { token })).status).toBe(401);
    await signIn('outcast');
  });

  it('stay as they are with {}', async () => {
    const { id } = await account('same');
    const before = (await list('')).body.accounts.find((one: { id: number }) => one.id === id);
    expect(await change(id, {})).toMatchObject({ status: 200, body: before });
  });

  it.each<[number | string, unknown, number, string]>([
    ['999999', { role: 'viewer' }, 404, 'account_unknown'],
    ['9007199254740991', {}, 404, 'account_unknown'],
    ['9007199254740992', {}, 400, 'invalid'],
    ['99999999999999999999', {}, 400, 'invalid'],
    ['01', {}, 400, 'invalid'],
    ['0', {}, 400, 'invalid'],
    ['1e0', {}, 400, 'invalid'],
    ['one', {}, 400, 'invalid'],
    [1, { role: 'owner' }, 400, 'invalid'],
    [1, { role: null }, 400, 'invalid'],
    [1, { disabled: 'true' }, 400, 'invalid'],
    [1, { disabled: 0 }, 400, 'invalid'],
    [1, { username: 'root' }, 400, 'invalid'],
    [1, [], 400, 'invalid'],
  ])('PATCH %s with %j is %i %s', async (id, body, status, code) => {
    expect(await change(id, body)).toMatchObject({ status, body: { code, status } });
  });

  it('keep the last admin', async () => {
    for (const body of [{ role: 'editor' }, { disabled: true }, { role: 'member', disabled: true }]) {
      expect(await change(1, body)).toMatchObject({ status: 409, body: { code: 'last_admin' } });
    }
    expect((await service.call('GET', '/auth/me', { token: admin })).body.role).toBe('admin');
    expect((await change(1, { role: 'admin', disabled: false })).status).toBe(200);
  });

  it.each([{ role: 'viewer' }, { disabled: true }])('keep one of two admins when %j is raced', async (body) => {
    const username = `rival-by-${Object.keys(body)}`;
    const { id } = await account(username);
    for (let round = 0; round < 8; round++) {
      await change(id, { role: 'admin', disabled: false });
      const rival = await signIn(username);
      // Each other first: the loser may also find that they are no admin any more. Then themselves: 409 and nothing else.
      const eachOther = round % 2 === 0;
      const [mine, theirs] = await Promise.all([
        change(1, body, eachOther ? rival : admin),
        change(id, body, eachOther ? admin : rival),
      ]);
      const lost = mine.status === 200 ? theirs : mine;
      expect([mine.status, theirs.status]).toContain(200);
      expect(eachOther ? [401, 403, 409] : [409]).toContain(lost.status);
      if (mine.status === 200) {
        expect((await change(1, { role: 'admin', disabled: false }, rival)).status).toBe(200);
        admin = (await service.call('POST', '/auth/sign-in', { body: { username: 'admin', password: ADMIN_PASSWORD } }))
          .body.token;
      }
    }
    expect((await change(id, { role: 'member' })).status).toBe(200);
  });
});

describe('two instances on one database', () => {
  // Within 1 s, as callers.unit.test.ts shows.
  it('learn of each other’s revocations', async () => {
    const other = await startService({ mode: 'evaluation', database: service.url });
    try {
      const me = async (token: string, on: Service) => (await on.call('GET', '/auth/me', { token })).status;
      const { id, token } = await account('distant');
      expect(await me(token, other)).toBe(200);
      await change(id, { role: 'viewer' });
      await eventually(async () => (await other.call('GET', '/api/users', { token })).status === 200);
      await change(id, { disabled: true });
      expect(await me(token, service)).toBe(401);
      await eventually(async () => (await me(token, other)) === 401);

      const second = await account('leaver');
      expect(await me(second.token, other)).toBe(200);
      expect((await service.call('POST', '/auth/sign-out', { token: second.token })).status).toBe(204);
      await eventually(async () => (await me(second.token, other)) === 401);

      const key = await service.call('POST', '/api/keys', {
        token: admin,
        body: { name: 'k', role: 'viewer' },
      });
      const users = async () => (await other.call('GET', '/api/users', { token: key.body.key })).status;
      expect(await users()).toBe(200);
      const revoked = await service.call('DELETE', `/api/keys/${key.body.id}`, { token: admin });
      expect(revoked.status).toBe(204);
      await eventually(async () => (await users()) === 401);
    } finally {
      await other.stop();
    }
  });
});
