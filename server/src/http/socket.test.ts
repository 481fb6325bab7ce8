import { setTimeout as sleep } from 'node:timers/promises';
import { createDatabase, type TestDatabase } from '@kohort/testkit/database.ts';
import { exchange, open, type RawAnswer, type Wire } from '@kohort/testkit/wire.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Listening, listen } from '../../test/listen.ts';
import { ADMIN_PASSWORD } from '../../test/service.ts';

let databases: TestDatabase[];
let production: Listening;
let evaluation: Listening;
let admin: string;

const request = (method: string, path: string, headers: Record<string, string> = {}, body = ''): string => {
  const length =
    body === '' ? {} : { 'Content-Type': 'application/json', 'Content-Length': String(Buffer.byteLength(body)) };
  const lines = Object.entries({ Host: 'kohort', ...length, ...headers }).map(([name, value]) => `${name}: ${value}`);
  return `${method} ${path} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n${body}`;
};
const bearer = (token = admin) => ({ Authorization: `Bearer ${token}` });

beforeAll(async () => {
  databases = await Promise.all([createDatabase(), createDatabase()]);
  const [first, second] = databases.map(({ url }) => url);
  [production, evaluation] = await Promise.all([
    listen(first ?? '', { mode: 'production' }),
    listen(second ?? '', { mode: 'evaluation' }),
  ]);
  const credentials = JSON.stringify({ username: 'admin', password: ADMIN_PASSWORD });
  admin = JSON.parse((await exchange(production.port, request('POST', '/auth/sign-in', {}, credentials))).text).token;
});
afterAll(async () => {
  await Promise.all([production.stop(), evaluation.stop()]);
  await Promise.all(databases.map((database) => database.drop()));
});

function expectProblem(answer: RawAnswer, status: number): void {
  expect(answer).toMatchObject({ status, headers: { 'content-type': 'application/problem+json; charset=utf-8' } });
  const body = JSON.parse(answer.text);
  expect(body).toMatchObject({ status, request_id: answer.headers['x-request-id'], message: body.detail });
  expect(body.request_id).toMatch(/./);
  expect(answer.text).not.toMatch(/HPE_|ERR_|node:|\bat .*:\d+:\d+/);
}

describe('what is no HTTP/1.1 gets a problem document with a request id all the same', () => {
  it.each<[string, string | Buffer, number]>([
    ['garbage', 'GARBAGE\r\n\r\n', 400],
    ['a TLS greeting', Buffer.from('160301020001000001fc0303', 'hex'), 400],
    ['an HTTP/2 preface', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 400],
    ['an unknown version', 'GET /healthz HTTP/9.9\r\nHost: x\r\n\r\n', 400],
    ['an unknown method', request('BREW', '/healthz'), 400],
    ['no Host', 'GET /healthz HTTP/1.1\r\n\r\n', 400],
    ['no Host on the fast path', 'GET /api/users/1/segments HTTP/1.1\r\n\r\n', 400],
    ['a header without a colon', 'GET /healthz HTTP/1.1\r\nHost: x\r\nnonsense\r\n\r\n', 400],
    ['a space before the colon', 'GET /healthz HTTP/1.1\r\nHost : x\r\n\r\n', 400],
    ['NUL in a header', 'GET /healthz HTTP/1.1\r\nHost: x\r\nA: \0\r\n\r\n', 400],
    ['NUL in the path', 'GET /health\0z HTTP/1.1\r\nHost: x\r\n\r\n', 400],
    ['a Content-Length that is no number', request('POST', '/api/segments', { 'Content-Length': 'abc' }), 400],
    ['a negative Content-Length', request('POST', '/api/segments', { 'Content-Length': '-1' }), 400],
    ['two Content-Lengths', 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab', 400],
    [
      'both Content-Length and Transfer-Encoding',
      request('POST', '/api/segments', { 'Content-Length': '5', 'Transfer-Encoding': 'chunked' }),
      400,
    ],
    [
      'a broken chunk',
      `${request('POST', '/auth/sign-in', { 'Transfer-Encoding': 'chunked', 'Content-Type': 'application/json' })}zz\r\n`,
      400,
    ],
    ['headers of 20 KiB', request('GET', '/healthz', { 'X-Long': 'x'.repeat(20 * 1024) }), 431],
    [
      'a thousand headers',
      request(
        'GET',
        '/healthz',
        Object.fromEntries(Array.from({ length: 1_500 }, (_, i) => [`X-Header-${i}`, 'some value'])),
      ),
      431,
    ],
    ['a path of 20 KiB', request('GET', `/api/users/ext:${'x'.repeat(20 * 1024)}/segments`), 431],
  ])('%s', async (_, bytes, status) => {
    const wire = await open(production.port);
    wire.write(bytes);
    const answer = await wire.next();
    expectProblem(answer, status);
    wire.socket.destroy();
    expect((await exchange(production.port, request('GET', '/healthz'))).status).toBe(200);
  });

  it.each(['PROPFIND', 'LINK', 'SEARCH', 'QUERY', 'MKCOL', 'PURGE', 'TRACE', 'OPTIONS'])(
    'a method that HTTP knows and we do not is 405: %s',
    async (method) => {
      const answer = await exchange(production.port, request(method, '/api/segments', bearer()));
      expectProblem(answer, 405);
      expect(answer.headers.allow).toBe('GET, HEAD, POST');
      expectProblem(await exchange(production.port, request(method, '/api/segments')), 401);
    },
  );

  it('an unknown expectation is ignored, as it may be, and 100-continue is met', async () => {
    const unknown = await exchange(production.port, request('GET', '/healthz', { Expect: 'the unexpected' }));
    expect([unknown.status, unknown.headers['x-request-id'] !== undefined]).toEqual([200, true]);
    const body = '{"slug":"Expected"}';
    const wire = await open(production.port);
    const head = { 'Content-Type': 'application/json', 'Content-Length': String(body.length), Expect: '100-continue' };
    wire.write(request('POST', '/api/segments', { ...bearer(), ...head }));
    expect((await wire.next()).status).toBe(100);
    wire.write(body);
    expect((await wire.next()).status).toBe(200);
    wire.socket.destroy();
  });

  it('an upgrade that is not offered is not made', async () => {
    const answer = await exchange(
      production.port,
      request('GET', '/healthz', { Connection: 'Upgrade', Upgrade: 'websocket' }),
    );
    expect([answer.status, answer.headers['x-request-id'] !== undefined]).toEqual([200, true]);
  });
});

describe('a path that is not percent-encoded UTF-8', () => {
  it.each([
    ['%FF', 'ext:%FF'],
    ['%zz', 'ext:%zz'],
    ['%', 'ext:%'],
    ['an encoded surrogate', 'ext:%ED%A0%80'],
    ['%FF in the query', 'ext:a?x=%FF'],
  ])('%s is 400 with a token, 401 without, and registers no user', async (_, user) => {
    expectProblem(await exchange(production.port, request('PATCH', `/api/users/${user}`, bearer(), '{}')), 400);
    expectProblem(await exchange(production.port, request('PATCH', `/api/users/${user}`, {}, '{}')), 401);
    const users = await exchange(production.port, request('GET', '/api/users', bearer()));
    expect(JSON.parse(users.text).users).toHaveLength(1);
  });

  it.each<[string, Buffer]>([
    ['UTF-8', Buffer.from('ext:é')],
    ['Latin-1', Buffer.from('ext:é', 'latin1')],
    ['UTF-8 in the query', Buffer.from('1?x=é')],
  ])('raw %s is no HTTP', async (_, user) => {
    const rest = Buffer.from(request('PATCH', '', bearer(), '{}').slice('PATCH '.length));
    expectProblem(await exchange(production.port, Buffer.concat([Buffer.from('PATCH /api/users/'), user, rest])), 400);
    const users = await exchange(production.port, request('GET', '/api/users', bearer()));
    expect(JSON.parse(users.text).users).toHaveLength(1);
  });

  it.each(['/api/segments/..', '/api/../healthz', '//api/segments', '/api//segments', '/./healthz', '*'])(
    '%s is nothing but what it says',
    async (path) => {
      const answer = await exchange(production.port, request('GET', path, bearer()));
      expectProblem(answer, answer.status);
      expect(answer.status).toBeOneOf([400, 404]);
    },
  );

  it('may have scheme and host before it, as proxies send it', async () => {
    expect((await exchange(production.port, request('GET', 'http://kohort/healthz'))).status).toBe(200);
    expectProblem(await exchange(production.port, request('GET', 'http://kohort/api/nothing')), 401);
    expectProblem(await exchange(production.port, request('PUT', 'http://kohort/api/segments', bearer())), 405);
  });
});

describe('bodies', () => {
  it('a DELETE with Content-Type: application/json and neither body nor length is accepted', async () => {
    await exchange(evaluation.port, request('POST', '/api/segments', {}, '{"slug":"Bare"}'));
    for (const path of ['/api/users/1/Bare', '/api/users/1/segments/Bare', '/api/segments/Bare']) {
      for (const length of [{}, { 'Content-Length': '0' }]) {
        if (path === '/api/segments/Bare' && 'Content-Length' in length) continue;
        const answer = await exchange(
          evaluation.port,
          request('DELETE', path, { 'Content-Type': 'application/json', ...length }),
        );
        expect([path, answer.status, answer.text]).toEqual([path, 200, '{"status":"ok"}']);
      }
    }
  });

  it.each([
    ['POST', '/api/segments', 'application/json'],
    ['POST', '/api/segments/Empty/import', 'text/csv'],
    ['POST', '/api/users/import', 'application/x-ndjson'],
    ['POST', '/api/segments', 'text/plain'],
  ])('%s %s of %s with neither body nor length is answered as one of no bytes', async (method, path, type) => {
    await exchange(evaluation.port, request('POST', '/api/segments', {}, '{"slug":"Empty"}'));
    const credentials = JSON.stringify({ username: 'admin', password: ADMIN_PASSWORD });
    const { text } = await exchange(evaluation.port, request('POST', '/auth/sign-in', {}, credentials));
    const [none, zero] = await Promise.all(
      [{}, { 'Content-Length': '0' }].map((length) =>
        exchange(
          evaluation.port,
          request(method, path, { ...bearer(JSON.parse(text).token), 'Content-Type': type, ...length }),
        ),
      ),
    );
    expect(none?.status).toBe(zero?.status);
    expect(none?.status).toBeOneOf([202, 400, 415]);
  });

  it('a chunked body is read like any other', async () => {
    const head = request('POST', '/api/segments', {
      ...bearer(),
      'Content-Type': 'application/json',
      'Transfer-Encoding': 'chunked',
    });
    const answer = await exchange(production.port, `${head}8\r\n{"slug":\r\nb\r\n"Chunked_1"\r\n1\r\n}\r\n0\r\n\r\n`);
    expect([answer.status, Object.keys(JSON.parse(answer.text))]).toEqual([200, ['id']]);
  });

  it('one that is larger than 1 MiB is 413 before it has all arrived', async () => {
    const impatient = await listen(databases[0]?.url ?? '', { mode: 'production', limits: { restMs: 300 } });
    const type = { ...bearer(), 'Content-Type': 'application/json' };
    const chunk = `${(64 * 1024).toString(16)}\r\n${' '.repeat(64 * 1024)}\r\n`;
    const sent = [
      request('POST', '/api/segments', { ...type, 'Content-Length': String(50 * 1024 * 1024) }),
      request('POST', '/api/segments', { ...type, 'Transfer-Encoding': 'chunked' }) + chunk.repeat(17),
    ];
    for (const text of sent) {
      const wire = await open(impatient.port);
      wire.write(text);
      expectProblem(await wire.next(), 413);
      // A client need not send the rest. One that does not go on is not waited for.
      await wire.ended;
    }
    await impatient.stop();
  });

  it('one that strangers may send is 413 beyond 16 KiB, which the longest names and passwords do not reach', async () => {
    for (const path of ['/auth/sign-in', '/auth/sign-up', '/auth/password']) {
      const type = { ...bearer(), 'Content-Type': 'application/json' };
      const declared = { ...type, 'Content-Length': String(16 * 1024 + 1) };
      expectProblem(await exchange(production.port, request('POST', path, declared)), 413);
      const chunk = `4001\r\n${' '.repeat(0x4001)}\r\n`;
      const chunked = request('POST', path, { ...type, 'Transfer-Encoding': 'chunked' });
      expectProblem(await exchange(production.port, chunked + chunk), 413);
    }
    const escaped = (length: number) => '\\ud83d\\ude00'.repeat(length);
    const body = `{"name":"${escaped(255)}","username":"${'u'.repeat(51)}","password":"${escaped(128)}"}`;
    // Read, and refused for a username one too long.
    expectProblem(await exchange(production.port, request('POST', '/auth/sign-up', {}, body)), 400);
  });

  it.each([2, 30])(
    'one of %i MiB that is sent to its end all the same is answered, and the connection goes on',
    async (size) => {
      const wire = await open(production.port);
      const length = size * 1024 * 1024;
      const headers = { ...bearer(), 'Content-Type': 'application/json', 'Content-Length': String(length) };
      wire.write(request('POST', '/api/segments', headers));
      for (let sent = 0; sent < size; sent++) {
        wire.write(' '.repeat(1024 * 1024));
        // The service, which is in this process, has its turn.
        await sleep(1);
      }
      expectProblem(await wire.next(), 413);
      wire.write(request('GET', '/healthz'));
      expect((await wire.next()).status).toBe(200);
      wire.socket.destroy();
    },
  );

  it('one that no credential comes with is 401, however large', async () => {
    const head = { 'Content-Type': 'application/json', 'Content-Length': String(50 * 1024 * 1024) };
    expectProblem(await exchange(production.port, request('POST', '/api/segments', head) + ' '.repeat(100_000)), 401);
  });

  it('one that ends early does no harm', async () => {
    const wire = await open(production.port);
    wire.write(
      request('POST', '/api/segments', { ...bearer(), 'Content-Type': 'application/json', 'Content-Length': '100' }),
    );
    wire.write('{"slug":');
    wire.socket.destroy();
    await wire.ended;
    expect((await exchange(production.port, request('GET', '/readyz'))).status).toBe(200);
  });
});

describe('HEAD', () => {
  it('answers as GET does, without a body', async () => {
    for (const path of [
      '/api/segments',
      '/api/users/1/segments',
      '/healthz',
      '/openapi.json',
      '/api/segments/Unknown',
    ]) {
      const head = await exchange(production.port, request('HEAD', path, bearer()));
      const get = await exchange(production.port, request('GET', path, bearer()));
      expect([path, head.status, head.text]).toEqual([path, get.status, '']);
      for (const name of ['content-type', 'content-length'])
        expect([path, head.headers[name]]).toEqual([path, get.headers[name]]);
      expect(head.headers['x-request-id']).toBeDefined();
    }
    expect((await exchange(production.port, request('HEAD', '/api/segments'))).status).toBe(401);
    expect((await exchange(production.port, request('HEAD', '/auth/sign-up'))).status).toBe(405);
  });
});

describe('pipelined calls', () => {
  it('are answered in their order', async () => {
    const wire = await open(production.port);
    const paths = ['/api/users/1/segments', '/nothing', '/api/users/1', '/api/users/1/segments', '/healthz'];
    wire.write(paths.map((path) => request('GET', path, bearer())).join(''));
    const statuses = [];
    for (const _ of paths) statuses.push((await wire.next()).status);
    expect(statuses).toEqual([200, 404, 200, 200, 200]);
    wire.socket.destroy();
  });
});

/** Bodies that OFREP may be asked with. */
const flagContexts = [
  '{"context":{"targetingKey":"flagged"}}',
  '{ "context" : { "targetingKey" : "flagged" } }',
  '{"context":{"targetingKey":"flagged","country":"FR","n":1.5,"none":null,"yes":true}}',
  '{"context":{"targetingKey":"stranger","country":"NL"}}',
  '{"context":{"targetingKey":"flagged","n":12345678901234567890}}',
  '{"context":{"targetingKey":"flagged","n":1e999}}',
  '{"context":{"targetingKey":"flagged","tags":["a"]}}',
  '{"context":{"targetingKey":"flagged","__proto__":"x"}}',
  '{"context":{"targetingKey":"flagged","constructor":"x"}}',
  '{"context":{"targetingKey":"fl\\u0061gged"}}',
  '{"context":{"targetingKey":"fl\\u0000gged"}}',
  '{"context":{"targetingKey":"flägged"}}',
  '{"context":{"targetingKey":"flagged"},"more":1}',
  '{"context":{"targetingKey":""}}',
  '{"context":{"targetingKey":7}}',
  `{"context":{"targetingKey":"${'x'.repeat(256)}"}}`,
  '{"context":{}}',
  '{"context":null}',
  '{"context":[]}',
  '{}',
  '[]',
  '{"context":{"targetingKey":"flagged"}',
];
const flagSlugs = [
  'flag-list',
  'flag-share',
  'flag-rule',
  'flag-over',
  'flag-names',
  'nowhere',
  '-',
  'flag%2Dlist',
  '',
];

describe('the fast path answers as the framework would', () => {
  const users = [
    '1',
    '2',
    '999999',
    '0',
    '01',
    '+1',
    '%31',
    '%201',
    '1e3',
    '0x10',
    '9007199254740991',
    '9007199254740993',
    'abc',
    'ext:known',
    'ext:unknown',
    'ext:k%6Eown',
    'ext%3Aknown',
    'EXT:known',
    'ext:',
    'ext:%00',
    'ext:%0A',
    'ext:%7F',
    'ext:%C2%85',
    'ext:%FF',
    'ext:%zz',
    'ext:%',
    'ext:a%2Fb',
    'ext:a%252Fb',
    'ext:100%25',
    'ext:+',
    'ext:%2B',
    'ext:a@b',
    'ext:a:b',
    'ext:~._-',
    `ext:${'x'.repeat(255)}`,
    `ext:${'x'.repeat(256)}`,
    `ext:${'%C3%A9'.repeat(127)}`,
    `ext:${'%C3%A9'.repeat(128)}`,
    'ext:%ED%A0%80',
    'ext:%F0%9F%92%A9',
  ];
  const same = ({ status, headers, text }: RawAnswer) => {
    const { date: _, 'x-request-id': id, ...others } = headers;
    return { status, headers: others, text: text.replaceAll(id ?? '?', 'ID'), hasId: id !== undefined };
  };

  it('for every way to name a user and every credential, in both modes', async () => {
    const post = (port: number, path: string, body: object, token?: string) =>
      exchange(port, request('POST', path, token === undefined ? {} : bearer(token), JSON.stringify(body)));
    for (const [port, token] of [
      [production.port, admin],
      [evaluation.port, undefined],
    ] as const) {
      await post(port, '/auth/sign-up', { name: 'm', username: 'member', password: 'a good password' });
      const { text } = await post(port, '/auth/sign-in', { username: 'member', password: 'a good password' });
      const member: string = JSON.parse(text).token;
      for (const slug of ['Hot', 'Z', 'a']) await post(port, '/api/segments', { slug }, token);
      for (const user of ['2', 'ext:known', 'ext:a%2Fb', 'ext:%2B', 'ext:a@b', 'ext:%F0%9F%92%A9']) {
        for (const slug of ['Z', 'a', 'Hot']) await post(port, `/api/users/${user}/segments`, { slug }, token);
      }
      const credentials: Record<string, string>[] = [
        {},
        bearer(member),
        ...(token === undefined ? [] : [bearer(token)]),
        bearer('garbage'),
        bearer(`${member}x`),
        { Authorization: 'Basic bWVtYmVyOmEgZ29vZCBwYXNzd29yZA==' },
        { Authorization: '' },
        { Authorization: `bearer  ${member} ` },
      ];
      const wire = await open(port);
      for (const credential of credentials) {
        for (const user of users) {
          // An empty query string asks for the same, but is left to the framework.
          const path = `/api/users/${user}/segments`;
          wire.write(request('GET', path, credential) + request('GET', `${path}?`, credential));
          const [fast, plain] = [await wire.next(), await wire.next()];
          expect([credential, user, same(fast)]).toEqual([credential, user, same(plain)]);
        }
      }
      wire.write(request('GET', '/api/users/ext:known/segments', { ...bearer(member), 'X-Request-Id': 'mine' }));
      expect((await wire.next()).headers['x-request-id']).toBe('mine');
      wire.write(request('GET', '/api/users/2/segments', bearer(member)));
      expect(await wire.next()).toMatchObject({
        status: 200,
        headers: { 'content-type': 'application/json; charset=utf-8' },
        text: '{"segments":["Hot","Z","a"]}',
      });
      wire.socket.destroy();
    }
  });

  it('for every flag, context and credential that OFREP may be asked with', async () => {
    const { port, db } = production;
    for (const definition of [
      { slug: 'flag-list' },
      { slug: 'flag-share', percentage: 50 },
      { slug: 'flag-rule', condition: { country: 'NL' } },
      { slug: 'flag-over', percentage: 100, active_until: '2020-01-01T00:00:00Z' },
      { slug: 'flag-names', condition: { $inSegment: 'flag-list', country: 'NL' } },
    ]) {
      await exchange(port, request('POST', '/api/segments', bearer(), JSON.stringify(definition)));
    }
    const user = { external_id: 'flagged', attributes: { country: 'NL' } };
    await exchange(port, request('POST', '/api/users', bearer(), JSON.stringify(user)));
    await exchange(port, request('POST', '/api/users/ext:flagged/segments', bearer(), '{"slug":"flag-list"}'));
    const key = async (body: object): Promise<string> =>
      JSON.parse((await exchange(port, request('POST', '/api/keys', bearer(), JSON.stringify(body)))).text).key;
    const credentials = [
      bearer(),
      bearer(await key({ name: 'viewer', role: 'viewer' })),
      bearer(await key({ name: 'tagged', role: 'viewer', tags: ['t'] })),
      bearer(await key({ name: 'page', role: 'browser', tags: ['t'], origins: ['https://shop.example'] })),
      bearer('garbage'),
      {},
      { ...bearer(), Origin: 'https://shop.example' },
      { ...bearer(), 'If-None-Match': '*' },
    ];
    const wire = await open(port);
    const both = async (slug: string, credential: Record<string, string>, context: string) => {
      const path = `/ofrep/v1/evaluate/flags/${slug}`;
      wire.write(request('POST', path, credential, context) + request('POST', `${path}?`, credential, context));
      const [fast, plain] = [await wire.next(), await wire.next()];
      expect([slug, credential, context, same(fast)]).toEqual([slug, credential, context, same(plain)]);
      return fast;
    };
    for (const credential of credentials) {
      for (const slug of flagSlugs) await both(slug, credential, flagContexts[0] ?? '');
    }
    for (const context of flagContexts) {
      for (const slug of flagSlugs.slice(0, 6)) await both(slug, bearer(), context);
    }
    expect(await both('flag-names', bearer(), flagContexts[0] ?? '')).toMatchObject({
      status: 200,
      headers: { vary: 'Origin' },
      text: '{"key":"flag-names","value":true,"variant":"member","reason":"TARGETING_MATCH","metadata":{}}',
    });
    // A definition that another instance has just changed.
    await db.write({
      text: `WITH changed AS (UPDATE segments SET slug = 'flag-renamed', revision = d.revision + 1 FROM definitions d WHERE slug = 'flag-list')
        UPDATE definitions SET revision = revision + 1`,
      values: [],
    });
    expect((await both('flag-renamed', bearer(), flagContexts[0] ?? '')).text).toContain('"value":true');
    expect((await both('flag-list', bearer(), flagContexts[0] ?? '')).status).toBe(404);
    wire.socket.destroy();
  });

  const bodies = [
    '{"slug":"Put"}',
    ' {\r\n\t"slug" : "Put" } ',
    '{"slug":"P\\u0075t"}',
    '{"slug":"Nobody_made"}',
    '{"slug":"put"}',
    '{"slug":""}',
    '{"slug":" Put"}',
    `{"slug":"${'x'.repeat(255)}"}`,
    `{"slug":"${'x'.repeat(256)}"}`,
    '{"slug":"Put","slug":"Put"}',
    '{"slug":"Put","extra":1}',
    '{"slug":"Put","expires_at":null}',
    '{"slug":"Put","ttl":0}',
    '{"slug":7}',
    '{"slug":null}',
    '{"Slug":"Put"}',
    '{}',
    '[]',
    'null',
    '"Put"',
    '{"slug":"Put"}x',
    '{"slug":"Put"',
    "{'slug':'Put'}",
    '{"slug":"Put",}',
    '\uFEFF{"slug":"Put"}',
    '\u00A0{"slug":"Put"}',
    '{"slug":"Pùt"}',
    '{"slug":"Put\\u0000"}',
    '{"__proto__":{},"slug":"Put"}',
  ];

  it('for every body and way to send it that puts a user into a segment, in both modes', async () => {
    for (const [{ port, db }, token] of [
      [production, admin],
      [evaluation, undefined],
    ] as const) {
      const asAdmin = token === undefined ? {} : bearer(token);
      await exchange(port, request('POST', '/api/segments', asAdmin, '{"slug":"Put"}'));
      const one = async (path: string, send: (wire: Wire, path: string) => Promise<void> | void) => {
        const wire = await open(port);
        await send(wire, path);
        const answer = await wire.next();
        wire.socket.destroy();
        return answer;
      };
      const both = async (what: string, send: (wire: Wire, path: string) => Promise<void> | void, user = '1') => {
        const fast = await one(`/api/users/${user}/segments`, send);
        const plain = await one(`/api/users/${user}/segments?`, send);
        expect([what, same(fast)]).toEqual([what, same(plain)]);
        return fast.status;
      };
      for (const body of bodies) {
        for (const credential of [asAdmin, bearer('garbage')]) {
          await both(body, (wire, path) => wire.write(request('POST', path, credential, body)));
        }
      }
      for (const user of users) {
        await both(user, (wire, path) => wire.write(request('POST', path, asAdmin, '{"slug":"Put"}')), user);
      }
      const body = '{"slug":"Put"}';
      for (const headers of [
        { 'Content-Type': 'Application/JSON' },
        { 'Content-Type': 'application/json; charset=utf-8' },
        { 'Content-Type': 'application/json;charset=UTF-8' },
        { 'Content-Type': 'application/json; charset=latin1' },
        { 'Content-Type': 'text/plain' },
        { 'Content-Encoding': 'gzip' },
        { 'Content-Encoding': 'identity' },
        { 'Idempotency-Key': 'some-key' },
        { 'If-Match': '"1"' },
      ]) {
        const what = JSON.stringify(headers);
        await both(what, (wire, path) => wire.write(request('POST', path, { ...asAdmin, ...headers }, body)));
      }
      for (const cut of [0, 1, 7, body.length - 1]) {
        const status = await both(`in pieces at ${cut}`, async (wire, path) => {
          const whole = request('POST', path, asAdmin, body);
          wire.write(whole.slice(0, whole.length - body.length + cut));
          // Time to read the first piece alone: there is no sign of when it has been read.
          await sleep(30);
          wire.write(body.slice(cut));
        });
        expect(status).toBe(200);
      }
      const wire = await open(port);
      wire.write(
        [1, 2, 1].map((user) => request('POST', `/api/users/${user}/segments`, asAdmin, body)).join('') +
          request('GET', '/api/users/2/segments', asAdmin),
      );
      for (const text of [...Array<string>(3).fill('{"status":"ok"}'), expect.stringContaining('"Put"')]) {
        expect(await wire.next()).toMatchObject({ status: 200, text });
      }
      wire.socket.destroy();
      // However often it was asked for, it happened once.
      const happened = await db.query({
        text: `SELECT h.op, h.actor FROM history h JOIN segments s ON s.id = h.segment_id
          WHERE h.user_id = 1 AND s.slug = 'Put'`,
        values: [],
      });
      expect(happened).toEqual([{ op: 'add', actor: token === undefined ? 'anonymous' : 'user:1' }]);
    }
  });
});

describe('the metrics', () => {
  it('tell what is under way, what was refused, and the calls of the fast path', async () => {
    const { text } = await exchange(production.port, request('GET', '/metrics'));
    expect(text).toMatch(/^kohort_http_requests_under_way 1$/m);
    expect(text).toMatch(/^kohort_http_requests_refused_total 0$/m);
    for (const method of ['GET', 'POST']) {
      const route = `method="${method}",route="/api/users/:user/segments",status="200"`;
      expect(text).toMatch(new RegExp(`^kohort_http_request_duration_seconds_count\\{${route}\\} [1-9]`, 'm'));
    }
  });
});

describe('limits in time', () => {
  it('headers have 10 s', () => {
    for (const { service } of [production, evaluation]) {
      const { server } = service.app;
      expect(server.headersTimeout).toBe(10_000);
      expect(server.keepAliveTimeout).toBeGreaterThan(5_000);
    }
  });
});
