import { createHash } from 'node:crypto';
import sql from 'sql-template-tag';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { type Service, startService } from '../../../test/service.ts';
import { refusalOf } from '../../http/access.ts';
import { anonymous, type Caller } from '../../http/caller.ts';

let service: Service;
beforeAll(async () => {
  service = await startService({ mode: 'production' });
});
afterAll(() => service.stop());

const create = (body: unknown, token = service.admin) => service.call('POST', '/api/keys', { token, body });
const revoke = (id: number | string) => service.call('DELETE', `/api/keys/${id}`, { token: service.admin });
const users = (token: string) => service.call('GET', '/api/users', { token });

describe('API keys', () => {
  it('are shown once, stored as their SHA-256, and work by their role until revoked', async () => {
    const { status, body } = await create({ name: 'crm', role: 'viewer' });
    expect(status).toBe(201);
    expect(body).toEqual({
      id: expect.any(Number),
      name: 'crm',
      role: 'viewer',
      tags: null,
      origins: null,
      created_by: 'user:1',
      key: expect.stringMatching(/^kohort_[A-Za-z0-9_-]{43}$/),
      created_at: expect.stringMatching(/^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$/),
      expires_at: null,
    });
    const listed = await service.call('GET', '/api/keys', { token: service.admin });
    const { key, ...rest } = body;
    expect(listed.body.keys).toContainEqual(rest);
    expect(JSON.stringify(listed.body)).not.toContain(key);
    const [row] = await service.db.query<{ key_hash: Buffer }>(
      sql`SELECT key_hash FROM api_keys WHERE id = ${body.id}`,
    );
    expect(row?.key_hash).toEqual(createHash('sha256').update(key).digest());

    expect((await users(key)).status).toBe(200);
    expect((await service.call('POST', '/api/users', { token: key, body: {} })).status).toBe(403);
    expect((await service.call('GET', '/api/keys', { token: key })).status).toBe(403);
    expect((await create({ name: 'x', role: 'viewer' }, key)).status).toBe(403);
    expect((await service.call('GET', '/auth/me', { token: key })).status).toBe(403);

    expect((await revoke(body.id)).status).toBe(204);
    expect((await users(key)).status).toBe(401);
    expect(await revoke(body.id)).toMatchObject({ status: 404, body: { code: 'key_unknown' } });
  });

  it('of editors write, and the history names the key', async () => {
    const { body } = await create({ name: 'writer', role: 'editor', expires_at: null });
    const user = await service.call('POST', '/api/users', { token: body.key, body: {} });
    expect(user.status).toBe(201);
    expect((await service.call('POST', '/api/segments', { token: body.key, body: { slug: 'BY_KEY' } })).status).toBe(
      200,
    );
    const path = `/api/users/${user.body.id}`;
    expect((await service.call('POST', `${path}/segments`, { token: body.key, body: { slug: 'BY_KEY' } })).status).toBe(
      200,
    );
    const { events } = (await service.call('GET', `${path}/history`, { token: body.key })).body;
    expect(events[0]).toMatchObject({ slug: 'BY_KEY', actor: `key:${body.id}` });
  });

  it('stop working when they expire, to the moment, also while in use; the row stays', async () => {
    const expires_at = new Date(Date.now() + 3_600_000).toISOString();
    const { status, body } = await create({ name: 'brief', role: 'viewer', expires_at });
    expect(status).toBe(201);
    expect(body.expires_at).toBe(expires_at);
    try {
      vi.useFakeTimers({ toFake: ['Date'], now: Date.parse(expires_at) - 1 });
      expect((await users(body.key)).status).toBe(200);
      vi.setSystemTime(Date.parse(expires_at));
      expect((await users(body.key)).status).toBe(401);
    } finally {
      vi.useRealTimers();
    }
    const listed = await service.call('GET', '/api/keys?limit=1000', { token: service.admin });
    expect(listed.body.keys.map(({ id }: { id: number }) => id)).toContain(body.id);
  });

  it.each<[unknown, string]>([
    [{ name: 'x', role: 'admin' }, '/body/role'],
    [{ name: 'x', role: 'member' }, '/body/role'],
    [{ name: '', role: 'viewer' }, '/body/name'],
    [{ role: 'viewer' }, '/body'],
    [{ name: 'x', role: 'viewer', expires_at: '2020-01-01T00:00:00Z' }, '/body/expires_at'],
    [{ name: 'x', role: 'viewer', expires_at: 'tomorrow' }, '/body/expires_at'],
    [{ name: 'x', role: 'viewer', expires_at: 1893456000 }, '/body/expires_at'],
    [{ name: 'x', role: 'viewer', expires: '2099-01-01T00:00:00Z' }, '/body/expires'],
  ])('are refused as %j', async (asked, path) => {
    const { status, body } = await create(asked);
    expect(status).toBe(400);
    expect(body.errors[0].path).toBe(path);
  });

  it.each([
    ['0', 400],
    ['007', 400],
    ['x', 400],
    ['9007199254740992', 400],
    ['9007199254740991', 404],
  ])('DELETE %s is %i', async (id, status) => {
    expect((await revoke(id)).status).toBe(status);
  });

  it('can be revoked by a DELETE with a content type and no body', async () => {
    const { body } = await create({ name: 'seed style', role: 'viewer' });
    const answer = await service.call('DELETE', `/api/keys/${body.id}`, {
      token: service.admin,
      headers: { 'content-type': 'application/json' },
    });
    expect(answer.status).toBe(204);
  });

  it('that never were are 401', async () => {
    for (const key of [`kohort_${'A'.repeat(43)}`, 'kohort_', `kohort_${'A'.repeat(44)}`]) {
      const answer = await users(key);
      expect(answer.status).toBe(401);
      expect(answer.headers['www-authenticate']).toMatch(/^Bearer /);
    }
  });

  it('are listed by id, page by page', async () => {
    for (let i = 0; i < 3; i++) await create({ name: `page ${i}`, role: 'viewer' });
    const all = (await service.call('GET', '/api/keys', { token: service.admin })).body.keys;
    const ids = all.map(({ id }: { id: number }) => id);
    expect(ids).toEqual([...ids].sort((a, b) => a - b));
    const seen = [];
    let query = '?limit=2';
    for (;;) {
      const { body } = await service.call('GET', `/api/keys${query}`, { token: service.admin });
      seen.push(...body.keys);
      if (body.next_cursor === null) break;
      query = `?limit=2&cursor=${encodeURIComponent(body.next_cursor)}`;
    }
    expect(seen).toEqual(all);
  });
});

describe('limited keys', () => {
  const origins = ['https://shop.example', 'http://localhost:3000'];

  it('keep their tags and origins, and have a prefix of their own', async () => {
    const tagged = await create({ name: 'app', role: 'editor', tags: ['web', 'app'] });
    expect(tagged.body).toMatchObject({ role: 'editor', tags: ['web', 'app'], origins: null });
    expect(tagged.body.key).toMatch(/^kohort_tagged_/);
    const browser = await create({ name: 'page', role: 'browser', tags: ['web'], origins });
    expect(browser.body).toMatchObject({ role: 'browser', tags: ['web'], origins, created_by: 'user:1' });
    expect(browser.body.key).toMatch(/^kohort_browser_/);
    const { keys } = (await service.call('GET', '/api/keys', { token: service.admin })).body;
    expect(keys).toContainEqual(expect.objectContaining({ id: browser.body.id, tags: ['web'], origins }));
  });

  it.each([
    ['a browser key without tags', { role: 'browser', origins }, '/body/tags'],
    ['a browser key without origins', { role: 'browser', tags: ['web'] }, '/body/origins'],
    ['origins of another key', { role: 'viewer', tags: ['web'], origins }, '/body/origins'],
    ['no tags at all', { role: 'viewer', tags: [] }, '/body/tags'],
    [
      'a path',
      { role: 'browser', tags: ['web'], origins: ['https://a.example', 'https://a.example/x'] },
      '/body/origins/1',
    ],
    ['a final slash', { role: 'browser', tags: ['web'], origins: ['https://a.example/'] }, '/body/origins/0'],
    ['capitals', { role: 'browser', tags: ['web'], origins: ['https://A.example'] }, '/body/origins/0'],
    [
      'the port of the scheme',
      { role: 'browser', tags: ['web'], origins: ['https://a.example:443'] },
      '/body/origins/0',
    ],
    ['every origin', { role: 'browser', tags: ['web'], origins: ['*'] }, '/body/origins/0'],
    ['null', { role: 'browser', tags: ['web'], origins: ['null'] }, '/body/origins/0'],
    ['another scheme', { role: 'browser', tags: ['web'], origins: ['ftp://a.example'] }, '/body/origins/0'],
  ])('are refused with %s', async (_, body, path) => {
    const { status, body: problem } = await create({ name: 'x', ...body });
    expect([status, problem.errors?.[0].path]).toEqual([400, path]);
  });
});

describe('a browser key', () => {
  const caller: Caller = {
    ...anonymous,
    kind: 'key',
    role: 'browser',
    tags: ['web'],
    origins: ['https://shop.example'],
    actor: 'key:1',
  };
  const evaluate = { access: 'browser', taggedKeys: 'segment' } as const;
  const refuse = (endpoint: Parameters<typeof refusalOf>[0], origin?: string, seedIsOpen = false) =>
    refusalOf(endpoint, caller, { user: undefined, seedIsOpen, origin })?.code;

  it('is accepted from its own origins alone', () => {
    expect(refuse(evaluate, 'https://shop.example')).toBeUndefined();
    for (const origin of [undefined, 'https://shop.example:8443', 'http://shop.example', 'null']) {
      expect(refuse(evaluate, origin)).toBe('forbidden');
    }
  });

  it('makes no other call, not even those of the seed in evaluation mode', () => {
    for (const access of ['self', 'session', 'viewer', 'editor', 'admin'] as const) {
      const endpoint = { access, seed: true, taggedKeys: 'free' } as const;
      expect(refuse(endpoint, 'https://shop.example', true)).toBe('forbidden');
    }
  });

  it('has no part in what others may do: viewers evaluate too, members do not', () => {
    const as = (role: 'member' | 'viewer') =>
      refusalOf(evaluate, { ...anonymous, kind: 'session', role }, { user: undefined, seedIsOpen: false })?.code;
    expect([as('member'), as('viewer')]).toEqual(['forbidden', undefined]);
  });
});
