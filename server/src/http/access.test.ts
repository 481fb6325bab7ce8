import { endpoints } from '@kohort/contract';
import { SignJWT } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Service, startService } from '../../test/service.ts';

const SECRET = 'these tests sign a token or two of their own';
const MODES = ['evaluation', 'production'] as const;

/** Who may make a call, as the contract has it: the least role, or `own` for members about themselves and viewers about all,
 * `flags` for browser keys and viewers. */
type Needs = 'nothing' | 'flags' | 'session' | 'own' | 'viewer' | 'editor' | 'admin';
const SEED = true;

const CALLS: [method: string, path: string, needs: Needs, seed?: typeof SEED][] = [
  ['POST', '/auth/sign-up', 'nothing', SEED],
  ['POST', '/auth/sign-in', 'nothing', SEED],
  ['POST', '/ui/session', 'nothing'],
  ['DELETE', '/ui/session', 'nothing'],
  ['GET', '/auth/me', 'session'],
  ['POST', '/auth/password', 'session'],
  ['GET', '/api/accounts', 'admin'],
  ['PATCH', '/api/accounts/{id}', 'admin'],
  ['POST', '/api/keys', 'admin'],
  ['GET', '/api/keys', 'admin'],
  ['DELETE', '/api/keys/{id}', 'admin'],
  ['POST', '/api/segments', 'editor', SEED],
  ['GET', '/api/segments', 'viewer'],
  ['GET', '/api/segments/{slug}', 'viewer'],
  ['PATCH', '/api/segments/{slug}', 'editor'],
  ['DELETE', '/api/segments/{slug}', 'editor', SEED],
  ['GET', '/api/segments/{slug}/users', 'viewer'],
  ['PATCH', '/api/segments/{slug}/users', 'editor'],
  ['GET', '/api/segments/{slug}/count', 'viewer'],
  ['POST', '/api/segments/preview', 'viewer'],
  ['POST', '/api/segments/overlap', 'viewer'],
  ['POST', '/api/segments/{slug}/preview', 'viewer'],
  ['POST', '/api/definitions/apply', 'editor'],
  ['GET', '/api/attributes', 'viewer'],
  ['POST', '/api/layers', 'editor'],
  ['GET', '/api/layers', 'viewer'],
  ['GET', '/api/layers/{slug}', 'viewer'],
  ['DELETE', '/api/layers/{slug}', 'editor'],
  ['GET', '/api/segments/{slug}/sizes', 'viewer'],
  ['GET', '/api/segments/{slug}/history', 'viewer'],
  ['GET', '/api/segments/{slug}/changes', 'viewer'],
  ['GET', '/api/segments/{slug}/overrides', 'viewer'],
  ['POST', '/api/segments/{slug}/import', 'editor'],
  ['GET', '/api/segments/{slug}/export', 'viewer'],
  ['POST', '/api/users', 'editor'],
  ['GET', '/api/users', 'viewer'],
  ['GET', '/api/users/{user}', 'own'],
  ['PATCH', '/api/users/{user}', 'editor'],
  ['DELETE', '/api/users/{user}', 'editor'],
  ['POST', '/api/users/import', 'editor'],
  ['POST', '/api/users/{user}/segments', 'editor', SEED],
  ['DELETE', '/api/users/{user}/{slug}', 'editor', SEED],
  ['DELETE', '/api/users/{user}/segments/{slug}', 'editor', SEED],
  ['PUT', '/api/users/{user}/segments/{slug}', 'editor'],
  ['PATCH', '/api/users/{user}/segments', 'editor'],
  ['GET', '/api/users/{user}/segments', 'own', SEED],
  ['GET', '/api/users/{user}/segments/{slug}', 'own'],
  ['GET', '/api/users/{user}/memberships', 'own'],
  ['GET', '/api/users/{user}/history', 'own'],
  ['POST', '/api/resolve', 'viewer'],
  ['POST', '/api/feeds', 'editor'],
  ['GET', '/api/feeds', 'viewer'],
  ['GET', '/api/feeds/{id}', 'viewer'],
  ['PATCH', '/api/feeds/{id}', 'editor'],
  ['DELETE', '/api/feeds/{id}', 'editor'],
  ['GET', '/api/feeds/{id}/snapshot', 'viewer'],
  ['GET', '/api/feeds/{id}/changes', 'viewer'],
  ['POST', '/api/webhooks', 'editor'],
  ['GET', '/api/webhooks', 'viewer'],
  ['GET', '/api/webhooks/{id}', 'viewer'],
  ['PATCH', '/api/webhooks/{id}', 'editor'],
  ['DELETE', '/api/webhooks/{id}', 'editor'],
  ['GET', '/api/webhooks/{id}/deliveries', 'viewer'],
  ['POST', '/api/webhooks/{id}/deliveries/{delivery}/replay', 'editor'],
  ['POST', '/api/webhooks/{id}/test', 'editor'],
  ['POST', '/api/webhooks/{id}/secret', 'editor'],
  ['POST', '/api/reports', 'editor'],
  ['GET', '/api/jobs', 'viewer'],
  ['GET', '/api/jobs/{id}', 'viewer'],
  ['GET', '/api/jobs/{id}/events', 'viewer'],
  ['DELETE', '/api/jobs/{id}', 'editor'],
  ['POST', '/api/jobs/{id}/undo', 'editor'],
  ['POST', '/ofrep/v1/evaluate/flags/{flag}', 'flags'],
  ['POST', '/ofrep/v1/evaluate/flags', 'flags'],
  ['POST', '/auth/sign-out', 'session'],
];
/** Needs no token: anyone with the link may read it. */
const WITHOUT = ['GET /api/reports/{report}', 'GET /ofrep/v1/events/{stream}'];
/** What a key with tags may not do, because it would reach beyond the segments that it sees. */
const NOT_FOR_TAGGED_KEYS = new Set([
  'DELETE /api/users/{user}',
  'POST /api/definitions/apply',
  'POST /api/layers',
  'GET /api/layers',
  'GET /api/layers/{slug}',
  'DELETE /api/layers/{slug}',
]);
const registered = new Set(endpoints.map(({ method, path }) => `${method} ${path}`));
const RANK = { member: 0, viewer: 1, editor: 2, admin: 3 };

interface Credential {
  readonly name: string;
  readonly headers: Record<string, string>;
  readonly role?: keyof typeof RANK;
  readonly isKey?: boolean;
  readonly isBrowser?: boolean;
  readonly isTagged?: boolean;
  readonly isBad?: boolean;
  readonly userId?: number;
}

let services: Record<(typeof MODES)[number], Service>;
const credentials: Record<string, Credential[]> = {};
let other = 0;

async function credentialsOf(service: Service): Promise<Credential[]> {
  const bearer = (token: string) => ({ headers: { authorization: `Bearer ${token}` } });
  const accounts = [];
  for (const role of ['member', 'viewer', 'editor', 'admin'] as const) {
    const { id, token } = await service.account(`the.${role}`, role);
    accounts.push({ name: role, role, userId: id, ...bearer(token) });
  }
  const keys = [];
  for (const role of ['viewer', 'editor'] as const) {
    const { body } = await service.call('POST', '/api/keys', { token: service.admin, body: { name: role, role } });
    keys.push({ name: `${role} key`, role, isKey: true, ...bearer(body.key) });
  }
  for (const role of ['viewer', 'editor', 'browser'] as const) {
    const origins = role === 'browser' ? ['https://shop.example'] : null;
    const { body } = await service.call('POST', '/api/keys', {
      token: service.admin,
      body: { name: role, role, tags: ['web'], origins },
    });
    keys.push({
      name: `tagged ${role} key`,
      isKey: true,
      isTagged: true,
      ...(role === 'browser' ? { isBrowser: true } : { role }),
      headers: { ...bearer(body.key).headers, origin: 'https://shop.example' },
    });
  }
  const revoked = await service.call('POST', '/api/keys', {
    token: service.admin,
    body: { name: 'r', role: 'editor' },
  });
  await service.call('DELETE', `/api/keys/${revoked.body.id}`, { token: service.admin });
  const claims = JSON.parse(Buffer.from(service.admin.split('.')[1] ?? '', 'base64url').toString());
  const sign = (change: object, secret = SECRET, alg = 'HS256') =>
    new SignJWT({ ...claims, ...change })
      .setProtectedHeader({ alg, typ: 'JWT' })
      .sign(new TextEncoder().encode(secret));
  const [header, payload, signature = ''] = service.admin.split('.');
  const none = Buffer.from('{"alg":"none","typ":"JWT"}').toString('base64url');
  const now = Math.floor(Date.now() / 1000);
  const bad = {
    garbage: 'Bearer garbage',
    'no token': 'Bearer',
    Basic: 'Basic YWRtaW46Y29ycmVjdCBob3JzZSBiYXR0ZXJ5',
    'a bare token': service.admin,
    expired: `Bearer ${await sign({ iat: now - 100, exp: now - 1 })}`,
    'signed by another': `Bearer ${await sign({}, 'another secret of more than 32 bytes, not ours')}`,
    'signed with the key of the seed': `Bearer ${await sign({}, 'jbfj5jbh6hgj5')}`,
    'signed by another algorithm': `Bearer ${await sign({}, `${SECRET}${SECRET}`, 'HS512')}`,
    'not signed': `Bearer ${none}.${payload}.`,
    'signed for another payload': `Bearer ${header}.${Buffer.from(JSON.stringify({ ...claims, user_id: 2 })).toString('base64url')}.${signature}`,
    'for another user than its session': `Bearer ${await sign({ user_id: 2 })}`,
    'of no session': `Bearer ${await sign({ jti: '00000000-0000-4000-8000-000000000000' })}`,
    'without an end': `Bearer ${await new SignJWT({ user_id: 1 }).setProtectedHeader({ alg: 'HS256' }).setJti(claims.jti).setIssuedAt().sign(new TextEncoder().encode(SECRET))}`,
    'a revoked key': `Bearer ${revoked.body.key}`,
    'two tokens': `Bearer ${service.admin}, Bearer ${service.admin}`,
    'NUL behind it': `Bearer ${service.admin}%00`,
  };
  return [
    { name: 'none', headers: {} },
    ...Object.entries(bad).map(([name, authorization]) => ({ name, isBad: true, headers: { authorization } })),
    ...accounts,
    ...keys,
  ];
}

beforeAll(async () => {
  const started = await Promise.all(MODES.map((mode) => startService({ mode, env: { JWT_SECRET: SECRET } })));
  services = { evaluation: started[0] as Service, production: started[1] as Service };
  for (const mode of MODES) credentials[mode] = await credentialsOf(services[mode]);
  other = (await services.production.call('POST', '/api/users', { token: services.production.admin, body: {} })).body
    .id;
});
afterAll(async () => {
  await Promise.all(MODES.map((mode) => services[mode].stop()));
});

function expected(
  mode: (typeof MODES)[number],
  [method, path, needs, seed]: (typeof CALLS)[number],
  { role, isKey = false, isBad = false, isBrowser = false, isTagged = false }: Credential,
  isOwn: boolean,
): 401 | 403 | 'passes' {
  if (isBad) return 401;
  if (needs === 'nothing') return 'passes';
  if (isBrowser && needs === 'flags') return 'passes';
  if (isBrowser || (isTagged && NOT_FOR_TAGGED_KEYS.has(`${method} ${path}`))) return 403;
  if (mode === 'evaluation' && seed) return 'passes';
  if (role === undefined) return 401;
  if (needs === 'session') return isKey ? 403 : 'passes';
  if (needs === 'own') return isOwn || RANK[role] >= RANK.viewer ? 'passes' : 403;
  return RANK[role] >= RANK[needs === 'flags' ? 'viewer' : needs] ? 'passes' : 403;
}

/** The form is wrong or the target does not exist, so that nothing happens; reading is done for real. */
function fill(path: string, user: number | undefined): string {
  return path
    .replace('{user}', String(user ?? other))
    .replace('{slug}', 'Unknown')
    .replace('{flag}', 'Unknown')
    .replace('{id}', '999999')
    .replace('{delivery}', '999999');
}

describe.each(MODES)('in %s', (mode) => {
  it.each(CALLS.map((call) => [call[0], call[1], call] as const))('%s %s', async (method, path, call) => {
    const isThere = registered.has(`${method} ${path}`);
    for (const credential of credentials[mode] ?? []) {
      for (const user of [credential.userId, undefined]) {
        if (user !== undefined && (!path.includes('{user}') || (method === 'DELETE' && path.endsWith('{user}'))))
          continue;
        const target = method === 'GET' || call[2] === 'session' ? user : (user ?? 999_999);
        const answer = await services[mode].call(method, fill(path, target), {
          headers: { ...credential.headers, ...(method === 'GET' ? {} : { 'content-type': 'application/json' }) },
          ...(method === 'POST' || method === 'PUT' || method === 'PATCH' ? { body: { unknown_field: 1 } } : {}),
        });
        // A call of a later issue is an unknown path until then, which in production takes a token to be told.
        const wanted = isThere
          ? expected(mode, call, credential, user !== undefined)
          : credential.isBad || (mode === 'production' && credential.role === undefined)
            ? 401
            : 'passes';
        const got = answer.status === 401 || answer.status === 403 ? answer.status : 'passes';
        expect([credential.name, user === undefined ? 'others' : 'self', got]).toEqual([
          credential.name,
          user === undefined ? 'others' : 'self',
          wanted,
        ]);
        expect(answer.status).toBeLessThan(500);
        if (got === 401) expect(answer.headers['www-authenticate']).toMatch(/^Bearer realm="kohort"/);
        if (isThere && method === 'GET' && got === 'passes') expect(answer.status).toBeOneOf([200, 404]);
      }
    }
  });

  it('no call has a way in that this table does not know', () => {
    const known = new Set([...CALLS.map(([method, path]) => `${method} ${path}`), ...WITHOUT]);
    expect([...registered].filter((call) => !known.has(call))).toEqual([]);
    expect([...known].filter((call) => !registered.has(call))).toEqual([]);
  });

  it('the operations need no token and take no notice of a bad one', async () => {
    for (const path of ['/healthz', '/readyz', '/metrics', '/openapi.json', '/docs']) {
      for (const headers of [{}, { authorization: 'Bearer garbage' }]) {
        expect([path, (await services[mode].call('GET', path, { headers })).status]).toEqual([path, 200]);
      }
    }
  });
});
