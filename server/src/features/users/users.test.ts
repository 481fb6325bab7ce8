import sql from 'sql-template-tag';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Client, clientOf } from '../../../test/client.ts';
import { expectFold } from '../../../test/fold.ts';
import { type Service, startService } from '../../../test/service.ts';
import { letPass } from '../../../test/time.ts';

let service: Service;
let client: Client;
beforeAll(async () => {
  service = await startService();
  client = clientOf(service);
});
afterAll(async () => {
  await expectFold(service.db);
  await service.stop();
});

const create = (body: unknown) => client.call('POST', '/api/users', body);
const change = (user: number | string, body: unknown) => client.call('PATCH', `/api/users/${user}`, body);
const erase = (user: number | string, token = service.admin) => service.call('DELETE', `/api/users/${user}`, { token });
const versionsOf = (user: number) =>
  service.db.query<{ version: number; attributes: object }>(sql`
    SELECT v.version, v.attributes FROM attribute_versions v WHERE v.user_id = ${user} ORDER BY v.version`);

describe('registering', () => {
  it('answers the next id, and nothing else', async () => {
    const first = await create({});
    expect(first).toMatchObject({ status: 201, body: { id: 2 } });
    expect(Object.keys(first.body)).toEqual(['id']);
    expect(await create({ external_id: 'shop@1', name: 'Ada', attributes: { plan: 'pro' } })).toMatchObject({
      status: 201,
      body: { id: 3 },
    });
    expect(await client.get('/api/users/3')).toEqual({
      id: 3,
      external_id: 'shop@1',
      name: 'Ada',
      attributes: { plan: 'pro' },
      created_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
    });
    expect(await client.get('/api/users/ext:shop%401')).toEqual(await client.get('/api/users/3'));
  });

  it('refuses an external id that is taken, without burning ids', async () => {
    const before = await client.user({ external_id: 'taken' });
    for (let i = 0; i < 3; i++) {
      expect(await create({ external_id: 'taken' })).toMatchObject({
        status: 409,
        body: { code: 'external_id_taken' },
      });
    }
    expect(await client.user()).toBe(before + 1);
  });

  it('takes external ids of 1 to 255 bytes as they are, case and all', async () => {
    const odd = ['ё'.repeat(127), 'A', 'a', ' ', '100%', 'a/b?c#d', 'ext:x', '😀', '..'];
    for (const external_id of odd) {
      const id = await client.user({ external_id });
      expect(await client.get(`/api/users/ext:${encodeURIComponent(external_id)}`)).toMatchObject({ id, external_id });
    }
  });

  it.each([[''], ['ё'.repeat(128)], ['x'.repeat(256)], ['tab\t'], ['del\u007f'], ['c1\u0085'], ['nul\0'], [7]])(
    'refuses the external id %j',
    async (external_id) => {
      expect((await create({ external_id })).status).toBe(400);
    },
  );

  it.each([
    [{ external_id: '\ud800' }],
    [{ nmae: 'Ada' }],
    [{ name: '' }],
    [{ name: 7 }],
    [{ attributes: null }],
    [{ attributes: [] }],
    [{ attributes: { deep: { nul: '\0' } } }],
    [{ attributes: { '\ud800': 1 } }],
    [{ id: 7 }],
  ])('refuses %j', async (body) => {
    expect((await create(body)).status).toBe(400);
  });

  it('refuses __proto__ keys, however deep', async () => {
    expect((await create('{"attributes": {"a": {"__proto__": {"admin": true}}}}')).status).toBe(400);
  });

  it('of 30 equal external ids at once registers one', async () => {
    const answers = await Promise.all(Array.from({ length: 30 }, () => create({ external_id: 'rushed' })));
    expect(answers.map(({ status }) => status).sort()).toEqual([201, ...Array(29).fill(409)]);
  });
});

describe('a user', () => {
  it.each(['0', '01', '0x10', '1e3', '%201', '-1', '9007199254740992', '1.0', 'ext:', 'ext:%00', 'shop@1'])(
    'is not named by %s',
    async (name) => {
      expect((await client.call('GET', `/api/users/${name}`)).status).toBe(400);
    },
  );

  it.each(['9007199254740991', '999999', 'ext:nobody'])('unknown as %s is 404', async (name) => {
    expect(await client.call('GET', `/api/users/${name}`)).toMatchObject({
      status: 404,
      body: { code: 'user_unknown' },
    });
  });
});

describe('PATCH', () => {
  it('merges attributes by RFC 7396: null removes, objects merge, the rest replaces', async () => {
    const id = await client.user({ attributes: { keep: 1, gone: 2, list: [1, 2], deep: { a: 1, b: { c: 2 } } } });
    const answer = await change(id, {
      attributes: { gone: null, never: null, list: [3], deep: { a: null, b: { d: 4 } }, fresh: { x: null, y: 5 } },
    });
    expect(answer.status).toBe(200);
    expect(answer.body).toEqual(await client.get(`/api/users/${id}`));
    expect(answer.body.attributes).toEqual({ keep: 1, list: [3], deep: { b: { c: 2, d: 4 } }, fresh: { y: 5 } });
  });

  it('keeps what is absent and clears the name by null', async () => {
    const id = await client.user({ name: 'Ada', attributes: { a: 1 } });
    expect((await change(id, { attributes: { b: 2 } })).body).toMatchObject({
      name: 'Ada',
      attributes: { a: 1, b: 2 },
    });
    expect((await change(id, { name: 'Bea' })).body).toMatchObject({ name: 'Bea', attributes: { a: 1, b: 2 } });
    expect((await change(id, { name: null })).body).toMatchObject({ name: null, attributes: { a: 1, b: 2 } });
    expect((await change(id, {})).body).toMatchObject({ name: null, attributes: { a: 1, b: 2 } });
  });

  it('registers an unknown external id, but no unknown id of ours', async () => {
    const registered = await change('ext:by-patch', { name: 'New', attributes: { a: 1, b: null } });
    expect(registered).toMatchObject({
      status: 200,
      body: { external_id: 'by-patch', name: 'New', attributes: { a: 1 } },
    });
    expect((await change('999999', { name: 'New' })).status).toBe(404);
  });

  it.each([{ external_id: 'other' }, { attributes: null }, { attributes: 'x' }, { name: '' }])(
    'refuses %j, and registers no user',
    async (body) => {
      expect((await change('ext:refused', body)).status).toBe(400);
      expect((await client.call('GET', '/api/users/ext:refused')).status).toBe(404);
    },
  );

  it('loses nothing when many write at once', async () => {
    const id = await client.user();
    const answers = await Promise.all(
      Array.from({ length: 40 }, (_, i) => change(id, { attributes: { [`k${i}`]: i, both: i } })),
    );
    expect(answers.every(({ status }) => status === 200)).toBe(true);
    const { attributes } = await client.get(`/api/users/${id}`);
    expect(Object.keys(attributes)).toHaveLength(41);
    const versions = await versionsOf(id);
    expect(versions).toHaveLength(40);
    expect(versions.at(-1)?.attributes).toEqual(attributes);
  });
});

describe('attributes', () => {
  const ofBytes = (bytes: number) => ({ a: 'x'.repeat(bytes - '{"a":""}'.length) });

  it('may be 16 KiB as compact JSON, whatever the white space around them', async () => {
    expect((await create({ attributes: ofBytes(16_384) })).status).toBe(201);
    expect(
      (await create(JSON.stringify({ attributes: { list: Array(1_000).fill(1_000_000_000) } }, null, 8))).status,
    ).toBe(201);
    expect(await create({ attributes: ofBytes(16_385) })).toMatchObject({ status: 413, body: { code: 'too_large' } });
    expect((await create({ attributes: { a: 'ё'.repeat(8_200) } })).status).toBe(413);
  });

  it('are measured after merging, and stay as they were when refused', async () => {
    const id = await client.user({ attributes: { ...ofBytes(10_000), b: 1 } });
    expect((await change(id, { attributes: { c: 'x'.repeat(10_000) } })).status).toBe(413);
    expect(Object.keys((await client.get(`/api/users/${id}`)).attributes)).toEqual(['a', 'b']);
    expect((await change(id, { attributes: { a: null, c: 'x'.repeat(10_000) } })).status).toBe(200);
    expect((await change('ext:too-large', { attributes: { a: 'x'.repeat(17_000) } })).status).toBe(413);
    expect((await client.call('GET', '/api/users/ext:too-large')).status).toBe(404);
  });

  it('come back as they went in', async () => {
    const attributes = {
      n: null,
      b: false,
      i: 9007199254740991,
      f: 0.1,
      e: 5e-324,
      s: '😀\n"',
      o: {},
      l: [[], [null]],
    };
    const id = await client.user({ attributes });
    expect((await client.get(`/api/users/${id}`)).attributes).toEqual(attributes);
  });

  it('keep every version, one for each change that changed something', async () => {
    const plain = await client.user();
    expect(await versionsOf(plain)).toEqual([]);
    await change(plain, { name: 'only a name' });
    expect(await versionsOf(plain)).toEqual([]);
    await change(plain, { attributes: { a: 1 } });
    await change(plain, { attributes: { a: 1 } });
    await change(plain, { attributes: { a: null } });
    expect(await versionsOf(plain)).toEqual([
      { version: 2, attributes: { a: 1 } },
      { version: 3, attributes: {} },
    ]);
    const born = await client.user({ attributes: { a: 1 } });
    await change(born, { attributes: { a: 2 } });
    expect(await versionsOf(born)).toEqual([
      { version: 1, attributes: { a: 1 } },
      { version: 2, attributes: { a: 2 } },
    ]);
  });
});

describe('the list of users', () => {
  it('is ordered by id and neither skips nor repeats untouched users while others write', async () => {
    const ids = [];
    for (let i = 0; i < 12; i++) ids.push(await client.user({ name: `Paged ${i}` }));
    const seen: number[] = [];
    let cursor = '';
    for (let page = 0; ; page++) {
      const { users, next_cursor } = await client.get(`/api/users?query=pAGED&limit=3${cursor}`);
      seen.push(...users.map(({ id }: { id: number }) => id));
      if (next_cursor === null) break;
      cursor = `&cursor=${next_cursor}`;
      // Behind and ahead of the page.
      await erase(ids[page] ?? 0);
      await client.user({ name: `Paged late ${page}` });
    }
    expect(seen).toEqual([...seen].sort((a, b) => a - b));
    expect(new Set(seen).size).toBe(seen.length);
    expect(seen).toEqual(expect.arrayContaining(ids));
  });

  it('finds a part of the name or the external id, without regard to case, and nothing by wildcards', async () => {
    const byName = await client.user({ name: 'Zoë 100%_sure' });
    const byExternal = await client.user({ external_id: 'ZOË 100%_SURE' });
    const found = async (query: string) =>
      (await client.all(`/api/users?query=${encodeURIComponent(query)}`, 'users')).map(({ id }) => id);
    expect(await found('zoë 100%')).toEqual([byName, byExternal]);
    expect(await found('%_S')).toEqual([byName, byExternal]);
    expect(await found('zo_')).toEqual([]);
    expect((await found('')).length).toBeGreaterThan(20);
  });

  it.each(['limit=0', 'limit=1001', 'limit=1.5', 'cursor=x', 'cursor=', 'limit=1&limit=2', 'qeury=x'])(
    'refuses ?%s',
    async (query) => {
      expect((await client.call('GET', `/api/users?${query}`)).status).toBe(400);
    },
  );
});

describe('erasing', () => {
  it('takes attributes, their versions, name, external id and overrides; history keeps the bare id', async () => {
    await client.segment('erased-from');
    await client.segment('erased-out-of', { percentage: 100 });
    const id = await client.user({ external_id: 'leaver', name: 'Lea Ver', attributes: { secret: 'melon' } });
    await client.add(id, 'erased-from');
    await client.remove(id, 'erased-out-of');
    expect((await erase('ext:leaver')).status).toBe(204);

    for (const user of [id, 'ext:leaver']) {
      for (const path of ['', '/segments', '/memberships', '/history', '/segments/erased-from']) {
        expect((await client.call('GET', `/api/users/${user}${path}`)).status, path).toBe(404);
      }
      expect((await erase(user)).status).toBe(404);
    }
    expect((await client.add(id, 'erased-from')).status).toBe(404);
    expect((await client.get('/api/segments/erased-from/count')).count).toBe(0);
    expect(await client.all('/api/segments/erased-from/users', 'users')).toEqual([]);
    expect((await client.call('POST', '/api/resolve', { users: [String(id), 'ext:leaver'] })).body.results).toEqual([
      { user: String(id), segments: null },
      { user: 'ext:leaver', segments: null },
    ]);
    expect(await service.db.query(sql`SELECT op, mode, actor FROM history WHERE user_id = ${id} ORDER BY seq`)).toEqual(
      [
        { op: 'add', mode: 'include', actor: 'user:1' },
        { op: 'add', mode: 'exclude', actor: 'user:1' },
        { op: 'remove', mode: 'include', actor: 'user:1' },
        { op: 'remove', mode: 'exclude', actor: 'user:1' },
      ],
    );
    for (const table of ['users', 'user_keys', 'attribute_versions', 'history', 'segment_versions', 'accounts']) {
      const rows = await service.db.query({ text: `SELECT t::text AS row FROM ${table} t`, values: [] });
      expect(JSON.stringify(rows), table).not.toMatch(/leaver|Lea Ver|melon/);
    }
  });

  it('frees the external id for a new user', async () => {
    const before = await client.user({ external_id: 'again', attributes: { a: 1 } });
    await client.segment('again-list');
    await client.add(before, 'again-list');
    await erase(before);
    const after = await client.user({ external_id: 'again' });
    expect(after).toBeGreaterThan(before);
    expect(await client.segmentsOf('ext:again')).not.toContain('again-list');
    expect((await client.get('/api/users/ext:again')).attributes).toEqual({});
  });

  it('writes down overrides that were over already as expired, not removed', async () => {
    await client.segment('erased-expired');
    const id = await client.user();
    await client.add(id, 'erased-expired', { ttl: 60 });
    await letPass(service.db, id, 90);
    await erase(id);
    const rows = await service.db.query<{ op: string; actor: string; at: Date; expires_at: Date }>(sql`
      SELECT op, actor, at, expires_at FROM history WHERE user_id = ${id} ORDER BY seq`);
    expect(rows.map(({ op, actor }) => [op, actor])).toEqual([
      ['add', 'user:1'],
      ['expire', 'system'],
    ]);
    expect(rows[1]?.at).toEqual(rows[0]?.expires_at);
  });

  it('takes the account along, and its sessions at once', async () => {
    const { id, token } = await service.account('soon-gone');
    expect((await service.call('GET', '/auth/me', { token })).status).toBe(200);
    expect((await erase(id)).status).toBe(204);
    expect((await service.call('GET', '/auth/me', { token })).status).toBe(401);
    const signIn = await service.call('POST', '/auth/sign-in', {
      body: { username: 'soon-gone', password: 'password of soon-gone' },
    });
    expect(signIn.status).toBe(401);
  });

  it('never takes the last admin', async () => {
    expect(await erase(1)).toMatchObject({ status: 409, body: { code: 'last_admin' } });
    const second = await service.account('second-admin', 'admin');
    expect((await erase(second.id)).status).toBe(204);
    expect((await erase(1)).status).toBe(409);
    expect(await client.get('/auth/me')).toMatchObject({ id: 1, role: 'admin' });
  });

  it('by an editor erases plain members, refuses accounts with another role, and changes nothing when refused', async () => {
    const editor = await service.account('an-editor', 'editor');
    await client.segment('kept-list');
    for (const role of ['viewer', 'editor', 'admin']) {
      const { id } = await service.account(`their-${role}`, role);
      await client.add(id, 'kept-list');
      expect(await erase(id, editor.token), role).toMatchObject({ status: 403, body: { code: 'forbidden' } });
      expect(await client.segmentsOf(id)).toContain('kept-list');
    }
    expect((await erase(1, editor.token)).status).toBe(403);
    const member = await service.account('their-member');
    expect((await erase(member.id, editor.token)).status).toBe(204);
    expect((await erase(await client.user(), editor.token)).status).toBe(204);
  });

  it('racing adds leaves no membership behind', async () => {
    await client.segment('erase-race', {});
    for (let round = 0; round < 5; round++) {
      const id = await client.user();
      const answers = await Promise.all([
        ...Array.from({ length: 10 }, () => client.add(id, 'erase-race')),
        erase(id),
        ...Array.from({ length: 10 }, () => client.add(id, 'erase-race', { ttl: 60 })),
      ]);
      expect(answers.filter(({ status }) => ![200, 204, 404].includes(status))).toEqual([]);
    }
    expect((await client.get('/api/segments/erase-race/count')).count).toBe(0);
  });

  it('racing adds by external id: each add registers whom it finds no more', async () => {
    await client.segment('reborn-race');
    for (let round = 0; round < 5; round++) {
      const answers = await Promise.all(
        Array.from({ length: 24 }, (_, i) => {
          if (i % 6 === 2) return erase('ext:reborn');
          if (i % 6 === 3) return client.patch('ext:reborn', { add: ['reborn-race'] });
          if (i % 6 === 4) return change('ext:reborn', { attributes: { i } });
          return client.add('ext:reborn', 'reborn-race');
        }),
      );
      for (const [i, { status }] of answers.entries()) {
        expect(i % 6 === 2 ? [204, 404] : [200]).toContain(status);
      }
    }
    expect((await client.all('/api/segments/reborn-race/users', 'users')).length).toBeLessThanOrEqual(1);
  });
});
