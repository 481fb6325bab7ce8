import { createHmac } from 'node:crypto';
import sql from 'sql-template-tag';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { type Service, startService } from '../../../test/service.ts';

const verified = vi.hoisted(() => {
  // Other files in this process may have loaded the real one.
  vi.resetModules();
  return [] as string[];
});
afterAll(() => void vi.resetModules());
vi.mock('@node-rs/argon2', async (original) => {
  const real = await original<typeof import('@node-rs/argon2')>();
  return {
    ...real,
    verify: (hashed: string, password: string) => {
      verified.push(hashed);
      return real.verify(hashed, password);
    },
  };
});

const JWT_SECRET = 'only-these-tests-know-this-secret-of-theirs';
// Each test may come from an address of its own, so that none is throttled for what another one did.
const env = { JWT_SECRET, TRUST_PROXY: '127.0.0.1' };

let service: Service;
beforeAll(async () => {
  service = await startService({ mode: 'evaluation', env });
});
afterAll(() => service.stop());

let drawn = 0;
const from = () => ({ 'x-forwarded-for': `198.51.100.${++drawn % 250}` });

async function signUp(username: string, password = 'secret', on = service): Promise<number> {
  const { status, body } = await on.call('POST', '/auth/sign-up', {
    body: { name: username, username, password },
    headers: from(),
  });
  expect(status, JSON.stringify(body)).toBe(200);
  return body.id;
}

async function signIn(username: string, password = 'secret', on = service): Promise<string> {
  const { status, body } = await on.call('POST', '/auth/sign-in', { body: { username, password }, headers: from() });
  expect(status, JSON.stringify(body)).toBe(200);
  return body.token;
}

const me = (token: string, on = service) => on.call('GET', '/auth/me', { token });

describe('sign-up', () => {
  it('on a fresh database answers exactly {"id": 2}, and burns no id on a taken username', async () => {
    const ask = (username: string) =>
      service.call('POST', '/auth/sign-up', { body: { name: 'Ada', username, password: '1' } });
    expect(await ask('first')).toMatchObject({ status: 200, body: { id: 2 } });
    expect(Object.keys((await ask('second')).body)).toEqual(['id']);
    for (const taken of ['first', 'FIRST', 'First', 'admin', 'Admin']) {
      expect(await ask(taken)).toMatchObject({ status: 409, body: { code: 'username_taken' } });
    }
    expect((await ask('third')).body).toEqual({ id: 4 });
  });

  it('makes a member with the name, who can sign in at once', async () => {
    const id = await signUp('Grace.Hopper@navy+1', 'p');
    const token = await signIn('grace.hopper@NAVY+1', 'p');
    expect(await me(token)).toMatchObject({
      status: 200,
      body: { id, username: 'Grace.Hopper@navy+1', name: 'Grace.Hopper@navy+1', role: 'member' },
    });
    expect((await service.call('GET', `/api/users/${id}`, { token })).status).toBe(200);
  });

  it('lets one of twenty equal ones win', async () => {
    const all = await Promise.all(
      Array.from({ length: 20 }, () =>
        service.call('POST', '/auth/sign-up', {
          body: { name: 'x', username: 'racer', password: 'x' },
          headers: from(),
        }),
      ),
    );
    expect(all.map(({ status }) => status).sort()).toEqual([200, ...Array(19).fill(409)]);
  });

  it.each<[string, object, string]>([
    ['a username with a space', { username: 'a b' }, '/body/username'],
    ['a username of 51 characters', { username: 'x'.repeat(51) }, '/body/username'],
    ['a username that begins with a dot', { username: '.x' }, '/body/username'],
    ['a username beyond ASCII', { username: 'jürgen' }, '/body/username'],
    ['a username with a newline behind it', { username: 'x\n' }, '/body/username'],
    ['an empty password', { password: '' }, '/body/password'],
    ['a password of 129 characters', { password: 'x'.repeat(129) }, '/body/password'],
    ['a number for a password', { password: 12345678 }, '/body/password'],
    ['no password', { password: undefined }, '/body'],
    ['an empty name', { name: '' }, '/body/name'],
    ['a role', { role: 'admin' }, '/body/role'],
  ])('refuses %s', async (_, change, path) => {
    const { status, body } = await service.call('POST', '/auth/sign-up', {
      body: { name: 'x', username: 'refused', password: 'x', ...change },
    });
    expect(status).toBe(400);
    expect(body.errors[0].path).toBe(path);
  });

  it('takes passwords verbatim', async () => {
    await signUp('verbatim', ' spaced ');
    for (const wrong of ['spaced', ' spaced', 'spaced ', ' Spaced ']) {
      const answer = await service.call('POST', '/auth/sign-in', { body: { username: 'verbatim', password: wrong } });
      expect(answer.status).toBe(401);
    }
    await signIn('verbatim', ' spaced ');
  });

  it('keeps the password as argon2id only', async () => {
    await signUp('hashed', 'a very particular password');
    const [row] = await service.db.query<{ password_hash: string }>(
      sql`SELECT password_hash FROM accounts WHERE username = 'hashed'`,
    );
    expect(row?.password_hash).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$/);
  });
});

describe('sign-in', () => {
  it('answers a token: HS256 with iat, exp 12 h later, and user_id', async () => {
    const id = await signUp('claims');
    const before = Math.floor(Date.now() / 1000);
    const { body, status } = await service.call('POST', '/auth/sign-in', {
      body: { username: 'claims', password: 'secret' },
    });
    expect(status).toBe(200);
    expect(Object.keys(body)).toEqual(['token']);
    const [header, payload, signature] = body.token.split('.');
    expect(JSON.parse(Buffer.from(header, 'base64url').toString())).toMatchObject({ alg: 'HS256' });
    const claims = JSON.parse(Buffer.from(payload, 'base64url').toString());
    expect(claims).toMatchObject({ user_id: id, exp: claims.iat + 43_200 });
    expect(claims.iat).toBeGreaterThanOrEqual(before);
    expect(claims.iat).toBeLessThanOrEqual(Date.now() / 1000);
    expect(createHmac('sha256', JWT_SECRET).update(`${header}.${payload}`).digest('base64url')).toBe(signature);
  });

  it('answers one and the same 401 to anything wrong, at the cost of one hash of the same kind', async () => {
    await signUp('known');
    const disabled = await signUp('disabled');
    await service.call('PATCH', `/api/accounts/${disabled}`, { token: service.admin, body: { disabled: true } });
    const attempts = [
      ['known', 'wrong'],
      ['known', ''],
      ['known', 'x'.repeat(5000)],
      ['unknown', 'secret'],
      ['disabled', 'secret'],
      ['disabled', 'wrong'],
      ['', ''],
      ["' OR 1=1 --", 'secret'],
      ['\u212Anown', 'secret'],
      ['x'.repeat(5000), 'secret'],
    ];
    const answers = [];
    verified.length = 0;
    for (const [username, password] of attempts) {
      const { status, headers, body } = await service.call('POST', '/auth/sign-in', {
        body: { username, password },
        headers: from(),
      });
      const { request_id, ...rest } = body;
      expect(request_id).toBeTypeOf('string');
      answers.push({ status, body: rest, challenge: headers['www-authenticate'], type: headers['content-type'] });
    }
    expect(answers[0]).toMatchObject({ status: 401, body: { status: 401, code: 'sign_in_failed' } });
    expect(answers[0]?.challenge).toMatch(/^Bearer /);
    for (const answer of answers) expect(answer).toEqual(answers[0]);
    expect(verified).toHaveLength(attempts.length);
    for (const hashed of verified) expect(hashed).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$/);
  });

  it.each([
    {},
    { username: 'x' },
    { username: 'x', password: 1 },
    { username: 'x', password: 'x', remember: true },
    [],
  ])('refuses the form of %j', async (body) => {
    expect((await service.call('POST', '/auth/sign-in', { body })).status).toBe(400);
  });

  it('with a bad token is 401 like every call', async () => {
    const body = { username: 'known', password: 'secret' };
    expect((await service.call('POST', '/auth/sign-in', { body, token: 'bad' })).status).toBe(401);
  });
});

describe('tokens', () => {
  const base64url = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');

  function forge(
    token: string,
    change: { header?: object; payload?: object; secret?: string; hash?: 'sha256' | 'sha512' | 'none' },
  ): string {
    const [header = '', payload = ''] = token.split('.');
    const read = (part: string) => JSON.parse(Buffer.from(part, 'base64url').toString());
    const signed = `${base64url({ ...read(header), ...change.header })}.${base64url({ ...read(payload), ...change.payload })}`;
    if (change.hash === 'none') return `${signed}.`;
    return `${signed}.${createHmac(change.hash ?? 'sha256', change.secret ?? JWT_SECRET)
      .update(signed)
      .digest('base64url')}`;
  }

  it('are 401 when forged, everywhere, and never anonymous', async () => {
    const id = await signUp('target');
    const token = await signIn('target');
    const [header, payload, signature = ''] = token.split('.');
    const now = Math.floor(Date.now() / 1000);
    expect((await me(forge(token, {}))).status, 'the control').toBe(200);
    const attacks: Record<string, string> = {
      'alg none': forge(token, { header: { alg: 'none' }, hash: 'none' }),
      'alg None': forge(token, { header: { alg: 'None' }, hash: 'none' }),
      'no signature': `${header}.${payload}.`,
      'two parts': `${header}.${payload}`,
      'another secret': forge(token, { secret: 'x'.repeat(32) }),
      "the seed's secret": forge(token, { secret: 'jbfj5jbh6hgj5' }),
      HS512: forge(token, { header: { alg: 'HS512' }, hash: 'sha512' }),
      'HS512 in name': forge(token, { header: { alg: 'HS512' } }),
      'no exp': forge(token, { payload: { exp: undefined } }),
      'no iat': forge(token, { payload: { iat: undefined } }),
      expired: forge(token, { payload: { iat: now - 10, exp: now - 1 } }),
      'no session': forge(token, { payload: { jti: undefined } }),
      'a session that does not exist': forge(token, { payload: { jti: '00000000-0000-4000-8000-000000000000' } }),
      'the admin': forge(token, { payload: { user_id: 1 } }),
      'tampered payload': `${header}.${base64url({ user_id: 1, exp: now + 60 })}.${signature}`,
      'signature cut': token.slice(0, -1),
      'signature changed': `${header}.${payload}.${signature.startsWith('A') ? 'B' : 'A'}${signature.slice(1)}`,
      'last character changed': token.slice(0, -1) + (token.endsWith('A') ? 'B' : 'A'),
      garbage: 'x'.repeat(3000),
    };
    for (const [name, attack] of Object.entries(attacks)) {
      for (const [method, path] of [
        ['GET', '/auth/me'],
        ['GET', `/api/users/${id}/segments`],
      ] as const) {
        const answer = await service.call(method, path, { token: attack });
        expect(answer.status, `${name} at ${path}`).toBe(401);
        expect(answer.headers['www-authenticate']).toMatch(/^Bearer /);
      }
    }
    expect((await me(token)).status).toBe(200);
  });

  it.each(['Bearer', 'Bearer ', 'Basic YWRtaW46YWRtaW4=', 'bearer a b', 'Token x'])(
    '%j is no credential',
    async (authorization) => {
      const answer = await service.call('GET', '/auth/me', { headers: { authorization } });
      expect(answer.status).toBe(401);
    },
  );

  it('are asked for', async () => {
    for (const [method, path] of [
      ['GET', '/auth/me'],
      ['POST', '/auth/sign-out'],
      ['POST', '/auth/password'],
    ] as const) {
      const answer = await service.call(method, path);
      expect(answer.status, path).toBe(401);
      expect(answer.headers['www-authenticate']).toMatch(/^Bearer /);
    }
  });

  it('are 401 from sign-out on, the other sessions are not', async () => {
    await signUp('leaver');
    const [gone, stays] = [await signIn('leaver'), await signIn('leaver')];
    expect((await me(gone)).status).toBe(200);
    const answer = await service.call('POST', '/auth/sign-out', { token: gone });
    expect(answer.status).toBe(204);
    expect((await me(gone)).status).toBe(401);
    expect((await service.call('POST', '/auth/sign-out', { token: gone })).status).toBe(401);
    expect((await me(stays)).status).toBe(200);
  });

  it('end with TOKEN_TTL, also those just used', async () => {
    const brief = await startService({ mode: 'evaluation', env: { ...env, TOKEN_TTL: '60' } });
    try {
      await signUp('brief', 'secret', brief);
      const token = await signIn('brief', 'secret', brief);
      const { iat } = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString());
      vi.useFakeTimers({ toFake: ['Date'], now: (iat + 60) * 1_000 - 1 });
      expect((await me(token, brief)).status).toBe(200);
      vi.setSystemTime((iat + 60) * 1_000);
      expect((await me(token, brief)).status).toBe(401);
    } finally {
      vi.useRealTimers();
      await brief.stop();
    }
  });
});

describe('changing the password', () => {
  const change = (token: string, current_password: string, new_password: string) =>
    service.call('POST', '/auth/password', { token, body: { current_password, new_password }, headers: from() });

  it('ends every other session of the account, and only those', async () => {
    await signUp('changer', 'old');
    await signUp('bystander', 'old');
    const [mine, other, bystander] = [
      await signIn('changer', 'old'),
      await signIn('changer', 'old'),
      await signIn('bystander', 'old'),
    ];
    expect((await me(other)).status).toBe(200);
    expect((await change(mine, 'old', 'new')).status).toBe(204);
    expect((await me(other)).status).toBe(401);
    expect((await me(mine)).status).toBe(200);
    expect((await me(bystander)).status).toBe(200);
    await signIn('changer', 'new');
    const old = await service.call('POST', '/auth/sign-in', { body: { username: 'changer', password: 'old' } });
    expect(old.status).toBe(401);
  });

  it('needs the current one: 401 otherwise, and nothing changes', async () => {
    await signUp('guesser', 'old');
    const [mine, other] = [await signIn('guesser', 'old'), await signIn('guesser', 'old')];
    const answer = await change(mine, 'wrong', 'new');
    expect(answer).toMatchObject({ status: 401, body: { code: 'sign_in_failed' } });
    expect(answer.headers['www-authenticate']).toMatch(/^Bearer /);
    expect((await me(mine)).status).toBe(200);
    expect((await me(other)).status).toBe(200);
    await signIn('guesser', 'old');
  });

  it('refuses a new one that breaks the rules, naming it', async () => {
    await signUp('breaker', 'old');
    const token = await signIn('breaker', 'old');
    for (const bad of ['', 'x'.repeat(129)]) {
      const { status, body } = await change(token, 'old', bad);
      expect(status).toBe(400);
      expect(body.errors[0].path).toBe('/body/new_password');
    }
  });

  it('lets one of two at once win', async () => {
    await signUp('twice', 'old');
    const [a, b] = [await signIn('twice', 'old'), await signIn('twice', 'old')];
    const answers = await Promise.all([change(a, 'old', 'new-a'), change(b, 'old', 'new-b')]);
    expect(answers.map(({ status }) => status).sort()).toEqual([204, 401]);
    await signIn('twice', answers[0]?.status === 204 ? 'new-a' : 'new-b');
  });
});

describe('production', () => {
  let production: Service;
  beforeAll(async () => {
    production = await startService({ mode: 'production', env });
  });
  afterAll(() => production.stop());

  const ask = (username: string, password: string, name = 'x') =>
    production.call('POST', '/auth/sign-up', { body: { name, username, password }, headers: from() });

  it('needs no token for sign-up and sign-in', async () => {
    await signUp('open', 'no common password', production);
    await signIn('open', 'no common password', production);
  });

  it.each([
    ['7 characters', 'sev-en7'],
    ['7 characters of two units each', '😀'.repeat(7)],
    ['129 characters', 'x'.repeat(129)],
    ['a common one', 'qwertyuiop'],
    ['a common one in capitals', 'PASSWORD1'],
  ])('refuses a password of %s, naming it', async (_, password) => {
    const { status, body } = await ask('weak', password);
    expect(status).toBe(400);
    expect(body.errors).toMatchObject([{ path: '/body/password' }]);
    expect(JSON.stringify(body)).not.toContain(password);
  });

  it.each([
    ['long8', 'ei-ght88'],
    ['long128', 'y'.repeat(128)],
    ['emoji128', '😀'.repeat(128)],
  ])('takes a password of 8 to 128 characters: %s', async (username, password) => {
    expect((await ask(username, password)).status).toBe(200);
    await signIn(username, password, production);
  });

  it('holds a changed password to the same rules', async () => {
    await signUp('held', 'no common password', production);
    const token = await signIn('held', 'no common password', production);
    const { status, body } = await production.call('POST', '/auth/password', {
      token,
      body: { current_password: 'no common password', new_password: 'iloveyou' },
    });
    expect(status).toBe(400);
    expect(body.errors).toMatchObject([{ path: '/body/new_password' }]);
  });
});

describe('sign-up by configuration', () => {
  it('closed is 403; SIGN_UP_ROLE gives another role', async () => {
    const closed = await startService({ mode: 'evaluation', env: { SIGN_UP: 'closed' } });
    const editors = await startService({ mode: 'evaluation', env: { SIGN_UP_ROLE: 'editor' } });
    try {
      const answer = await closed.call('POST', '/auth/sign-up', { body: { name: 'x', username: 'x', password: 'x' } });
      expect(answer).toMatchObject({ status: 403, body: { code: 'sign_up_closed' } });
      await signUp('ed', 'secret', editors);
      expect((await me(await signIn('ed', 'secret', editors), editors)).body.role).toBe('editor');
    } finally {
      await closed.stop();
      await editors.stop();
    }
  });
});
