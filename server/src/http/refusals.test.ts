import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Service, startService } from '../../test/service.ts';

let production: Service;
let evaluation: Service;
let member: { id: number; token: string };
beforeAll(async () => {
  [production, evaluation] = await Promise.all([
    startService({ mode: 'production' }),
    startService({ mode: 'evaluation' }),
  ]);
  member = await production.account('member');
  for (const service of [production, evaluation]) {
    await service.call('POST', '/api/segments', { token: service.admin, body: { slug: 'A' } });
  }
});
afterAll(async () => {
  await Promise.all([production.stop(), evaluation.stop()]);
});

const paths: Record<string, string> = {
  '/auth/sign-up': 'POST',
  '/auth/sign-in': 'POST',
  '/auth/sign-out': 'POST',
  '/auth/me': 'GET, HEAD',
  '/auth/password': 'POST',
  '/api/accounts': 'GET, HEAD',
  '/api/accounts/1': 'PATCH',
  '/api/keys': 'GET, HEAD, POST',
  '/api/keys/1': 'DELETE',
  '/api/segments': 'GET, HEAD, POST',
  '/api/segments/A': 'DELETE, GET, HEAD, PATCH',
  '/api/segments/A/users': 'GET, HEAD, PATCH',
  '/api/segments/A/count': 'GET, HEAD',
  '/api/segments/A/history': 'GET, HEAD',
  '/api/users': 'GET, HEAD, POST',
  '/api/users/1': 'DELETE, GET, HEAD, PATCH',
  '/api/users/ext:a%2Fb': 'DELETE, GET, HEAD, PATCH',
  '/api/users/1/A': 'DELETE',
  '/api/users/1/segments/A': 'DELETE, GET, HEAD, PUT',
  '/api/resolve': 'POST',
  '/': 'GET, HEAD',
  '/healthz': 'GET, HEAD',
  '/readyz': 'GET, HEAD',
  '/metrics': 'GET, HEAD',
  '/openapi.json': 'GET, HEAD',
  '/docs': 'GET, HEAD',
};
// HEAD is looked at over a socket: its problems have no body.
const METHODS = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE'];

describe('a known path with another method is 405 with Allow', () => {
  it.each(Object.entries(paths))('%s allows %s', async (path, allow) => {
    for (const method of METHODS.filter((one) => !allow.split(', ').includes(one))) {
      for (const body of [undefined, '{}', '{broken']) {
        if (body !== undefined && ['GET', 'HEAD', 'TRACE'].includes(method)) continue;
        const answer = await production.call(method, path, { token: production.admin, body });
        expect([method, path, answer.status, answer.headers.allow]).toEqual([method, path, 405, allow]);
        expect(answer.body.code).toBe('method_not_allowed');
      }
    }
  });

  it.each(['/api/users/1/segments', '/api/users/1/memberships', '/api/users/1/history'])(
    '%s is also where a segment of that name would be removed',
    async (path) => {
      const answer = await production.call('TRACE', path, { token: production.admin });
      expect([answer.status, answer.headers.allow]).toEqual([405, expect.stringMatching(/DELETE.*GET/)]);
    },
  );
});

describe('an unknown path is 404', () => {
  it.each(['/api', '/api/', '/api/nothing', '/api/users/1/segments/A/b', '/API/segments', '/auth', '/auth/sign-up/'])(
    '%s',
    async (path) => {
      for (const method of ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']) {
        const { status, body } = await production.call(method, path, { token: production.admin });
        expect([method, status, body.code]).toEqual([method, 404, 'route_unknown']);
      }
      const { status } = await production.call('POST', path, { token: production.admin, body: '{broken' });
      expect(status).toBe(404);
    },
  );

  it.each(['/docs/assets/', '/docs/assets/package.json', '/docs/assets/..%2f..%2fpackage.json', '/docs/x'])(
    '%s shows no file',
    async (path) => {
      expect((await production.call('GET', path)).status).toBe(404);
    },
  );
});

describe('the order of refusal: credential, role, form, existence, state', () => {
  const broken = [
    ['malformed JSON', { body: '{broken' }],
    ['a wrong media type', { body: 'x', headers: { 'content-type': 'text/plain' } }],
    ['a body that is too large', { body: `{"slug":"${'x'.repeat(1024 * 1024)}"}` }],
    ['an invalid body', { body: { nonsense: true } }],
    ['no body', {}],
  ] as const;
  const targets = [
    ['POST', '/api/segments'],
    ['PATCH', '/api/segments/Unknown'],
    ['POST', '/api/users/999999/segments'],
    ['POST', '/api/users/not-an-id/segments'],
    ['PATCH', '/api/users/999999/segments'],
    ['PUT', '/api/users/999999/segments/Unknown'],
    ['POST', '/api/keys'],
    ['PATCH', '/api/accounts/999999'],
    ['POST', '/api/resolve'],
  ] as const;

  it.each(broken)('401 and 403 come before %s, which comes before 404', async (_, options) => {
    for (const [method, path] of targets) {
      const statuses = [
        await production.call(method, path, options),
        await production.call(method, path, { ...options, token: 'garbage' }),
        await production.call(method, path, { ...options, token: member.token }),
        await production.call(method, path, { ...options, token: production.admin }),
      ].map(({ status }) => status);
      expect([method, path, ...statuses.slice(0, 3)]).toEqual([method, path, 401, 401, 403]);
      expect([method, path, statuses[3]]).toEqual([method, path, expect.toBeOneOf([400, 413, 415])]);
    }
  });

  it.each([
    '/api/%FF',
    '/api/users/ext:%FF',
    '/api/users/%zz/segments',
    '/api/users?query=%FF',
    '/api/users?limit=0',
    '/api/segments/-',
    '/api/nothing',
    '/api',
    '/api/segments/A/nothing?x=%FF',
  ])('in production a stranger is told 401 and nothing else about %s', async (path) => {
    for (const method of ['GET', 'POST', 'DELETE', 'OPTIONS']) {
      for (const options of [{}, { token: 'garbage' }, { body: '{broken' }]) {
        const { status, body } = await production.call(method, path, options);
        expect([method, path, status, body.code]).toEqual([method, path, 401, 'unauthenticated']);
      }
    }
  });

  it('in evaluation a stranger may see what is not there, but a bad token is 401', async () => {
    const cases = [
      ['GET', '/api/nothing', 404],
      ['PUT', '/api/segments', 405],
      ['GET', '/api/users/ext:%FF/segments', 400],
      ['POST', '/api/segments', 400],
    ] as const;
    for (const [method, path, expected] of cases) {
      expect([path, (await evaluation.call(method, path)).status]).toEqual([path, expected]);
      expect([path, (await evaluation.call(method, path, { token: 'garbage' })).status]).toEqual([path, 401]);
    }
  });

  it('a member is told 403 about others whether or not they exist', async () => {
    for (const user of ['1', '999999', 'ext:nobody', 'abc', '0']) {
      const { status } = await production.call('GET', `/api/users/${user}/segments`, { token: member.token });
      expect([user, status]).toEqual([user, 403]);
    }
    expect((await production.call('GET', `/api/users/${member.id}`, { token: member.token })).status).toBe(200);
  });

  it('form comes before existence', async () => {
    const token = production.admin;
    const cases: [string, string, unknown][] = [
      ['GET', '/api/segments/Unknown/users?limit=0', undefined],
      ['GET', '/api/segments/Unknown/history?limit=x', undefined],
      ['GET', '/api/users/999999/history?from=now', undefined],
      ['POST', '/api/users/999999/segments', { slug: '-' }],
      ['POST', '/api/users/999999/segments', { slug: 'Unknown', ttl: 5, expires_at: '2099-01-01T00:00:00Z' }],
      ['PATCH', '/api/users/999999/segments', { add: ['A'], remove: ['A'] }],
      ['PATCH', '/api/segments/Unknown', { percentage: 101 }],
      ['PATCH', '/api/segments/Unknown', { percentage: 1.2345 }],
    ];
    for (const [method, path, body] of cases) {
      expect([method, path, (await production.call(method, path, { token, body })).status]).toEqual([
        method,
        path,
        400,
      ]);
    }
  });

  it('existence comes before state', async () => {
    const token = production.admin;
    await production.call('POST', '/api/segments', { token, body: { slug: 'Taken' } });
    const unknown = await production.call('PATCH', '/api/segments/Unknown', {
      token,
      body: { slug: 'Taken' },
      headers: { 'if-match': '"9"' },
    });
    expect(unknown.status).toBe(404);
    const stale = await production.call('PATCH', '/api/segments/A', {
      token,
      body: { description: 'x' },
      headers: { 'if-match': '"9"' },
    });
    expect(stale.status).toBe(412);
    expect((await production.call('PATCH', '/api/segments/A', { token, body: { slug: 'Taken' } })).status).toBe(409);
  });
});

describe('every refusal', () => {
  const refusals: [number, string, string, object][] = [
    [400, 'GET', '/api/segments?limit=0', {}],
    [400, 'POST', '/api/segments', { body: '{' }],
    [400, 'GET', '/api/users/ext:%FF', {}],
    [404, 'GET', '/api/segments/Unknown', {}],
    [404, 'GET', '/nothing', {}],
    [405, 'PUT', '/api/segments', {}],
    [409, 'POST', '/api/segments', { body: { slug: 'A' } }],
    [413, 'POST', '/api/segments', { body: ' '.repeat(1024 * 1024 + 1) }],
    [415, 'POST', '/api/segments', { body: 'x', headers: { 'content-type': 'text/plain' } }],
    [401, 'GET', '/api/segments', { headers: { authorization: 'Basic YWRtaW46YWRtaW4=' } }],
    [401, 'POST', '/auth/sign-in', { body: { username: 'admin', password: 'wrong' }, headers: { authorization: '' } }],
  ];

  it.each(refusals)('%i %s %s is a problem document with all its members', async (status, method, path, options) => {
    const token = status === 401 ? undefined : production.admin;
    const answer = await production.call(method, path, { token, ...options });
    const { body, headers } = answer;
    expect(answer.status).toBe(status);
    expect(headers['content-type']).toBe('application/problem+json; charset=utf-8');
    expect(Object.keys(body).filter((name) => name !== 'errors')).toEqual([
      'type',
      'title',
      'status',
      'detail',
      'code',
      'request_id',
      'message',
    ]);
    expect(body.code).toMatch(/^[a-z]+(?:_[a-z]+)*$/);
    expect(body.message).toBe(body.detail);
    expect(body.detail.length).toBeGreaterThan(5);
    expect(body.request_id).toBe(headers['x-request-id']);
    expect(answer.text).not.toMatch(/\bat .*:\d+:\d+|node_modules|\/work\/|\.ts\b|select |insert |FST_|SQLSTATE|pg_/i);
  });

  it('answers the request id of the caller when it is one, and one of its own otherwise', async () => {
    const ask = async (given: string) =>
      (await production.call('GET', '/healthz', { headers: { 'x-request-id': given } })).headers['x-request-id'];
    expect(await ask('trace-1.2:3_4')).toBe('trace-1.2:3_4');
    for (const bad of ['', 'a b', 'x'.repeat(65), '<script>', 'é', '{"a":1}']) {
      expect(await ask(bad)).toMatch(/^[0-9a-f-]{36}$/);
    }
  });

  it('has an id of its own', async () => {
    const ids = await Promise.all(Array.from({ length: 20 }, () => production.call('GET', '/nothing')));
    expect(new Set(ids.map(({ body }) => body.request_id)).size).toBe(20);
  });
});
