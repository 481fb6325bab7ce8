import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { processorMs } from '../../test/processor.ts';
import { type Answer, type Service, startService } from '../../test/service.ts';

let service: Service;
let token: string;
beforeAll(async () => {
  service = await startService({ mode: 'production' });
  token = service.admin;
  await service.call('POST', '/api/segments', { token, body: { slug: 'A' } });
});
afterAll(() => service.stop());

const post = (path: string, body: unknown, headers: Record<string, string> = {}): Promise<Answer> =>
  service.call('POST', path, { token, body, headers });
const NUL = String.fromCharCode(0);
const add = '/api/users/1/segments';
const counted = async () => JSON.stringify((await service.call('GET', '/api/users/1/segments', { token })).body);

/** Every 400 says where the fault is, and none shows internals. */
function expectInvalid({ status, body }: Answer, path?: string | RegExp): void {
  expect({ status, body }).toMatchObject({ status: 400, body: { code: 'invalid', status: 400 } });
  expect(body.errors.length).toBeGreaterThan(0);
  for (const error of body.errors) {
    expect(Object.keys(error)).toEqual(['path', 'message']);
    expect(error.message).not.toBe('');
  }
  if (path !== undefined) expect(body.errors.map((error: { path: string }) => error.path).join(' ')).toMatch(path);
}

describe('wrong types are never coerced', () => {
  it.each<[string, string, string]>([
    ['a number for a slug', '{"slug":1}', '/body/slug'],
    ['null for a slug', '{"slug":null}', '/body/slug'],
    ['true for a slug', '{"slug":true}', '/body/slug'],
    ['a list for a slug', '{"slug":["A"]}', '/body/slug'],
    ['an object for a slug', '{"slug":{"a":1}}', '/body/slug'],
    ['a text for a ttl', '{"slug":"A","ttl":"60"}', '/body/ttl'],
    ['an empty text for a ttl', '{"slug":"A","ttl":""}', '/body/ttl'],
    ['null for a ttl', '{"slug":"A","ttl":null}', '/body/ttl'],
    ['true for a ttl', '{"slug":"A","ttl":true}', '/body/ttl'],
    ['a fraction for a ttl', '{"slug":"A","ttl":1.5}', '/body/ttl'],
    ['zero for a ttl', '{"slug":"A","ttl":0}', '/body/ttl'],
    ['a negative ttl', '{"slug":"A","ttl":-1}', '/body/ttl'],
    ['a ttl beyond every integer', '{"slug":"A","ttl":9007199254740993}', '/body/ttl'],
    ['a list for a ttl', '{"slug":"A","ttl":[60]}', '/body/ttl'],
    ['a number for a time', '{"slug":"A","expires_at":1795420800}', '/body/expires_at'],
    ['false for a time', '{"slug":"A","expires_at":false}', '/body/expires_at'],
    ['no slug', '{}', '/body'],
  ])('%s', async (_, body, path) => {
    const before = await counted();
    expectInvalid(await post(add, body), path);
    expect(await counted()).toBe(before);
  });

  it.each<[string, string, string]>([
    ['/api/segments', '{"slug":"B","percentage":"50"}', '/body/percentage'],
    ['/api/segments', '{"slug":"B","percentage":true}', '/body/percentage'],
    ['/api/segments', '{"slug":"B","tags":"vip"}', '/body/tags'],
    ['/api/segments', '{"slug":"B","tags":[1]}', '/body/tags/0'],
    ['/api/segments', '{"slug":"B","tags":{"0":"vip"}}', '/body/tags'],
    ['/api/segments', '{"slug":"B","description":5}', '/body/description'],
    ['/api/segments', '{"slug":"B","condition":"{}"}', '/body/condition'],
    ['/api/segments', '{"slug":"B","condition":[]}', '/body/condition'],
    ['/api/users', '{"external_id":7}', '/body/external_id'],
    ['/api/users', '{"attributes":"{}"}', '/body/attributes'],
    ['/api/users', '{"attributes":null}', '/body/attributes'],
    ['/api/users', '{"attributes":[]}', '/body/attributes'],
    ['/api/resolve', '{"users":[2]}', '/body/users/0'],
    ['/api/resolve', '{"users":"2"}', '/body/users'],
    ['/api/resolve', '{}', '/body'],
    ['/api/keys', '{"name":"k","role":"admin"}', '/body/role'],
    ['/api/keys', '{"name":"k","role":"Viewer"}', '/body/role'],
    ['/auth/sign-up', '{"name":"x","username":"y","password":12345678}', '/body/password'],
  ])('%s %s', async (path, body, at) => {
    expectInvalid(await post(path, body), at);
  });

  it.each(['[]', '"A"', '1', 'true', 'null', '[{"slug":"A"}]'])('a body that is %s is no object', async (body) => {
    expectInvalid(await post(add, body), '/body');
  });
});

describe('unknown body fields are refused and named', () => {
  it.each<[string, string, string, string]>([
    ['POST', add, '{"slug":"A","expire_at":"2099-01-01T00:00:00Z"}', '/body/expire_at'],
    ['POST', add, '{"slug":"A","Slug":"A"}', '/body/Slug'],
    ['PATCH', add, '{"add":[{"slug":"A","expires":1}]}', '/body/add/0'],
    ['PUT', '/api/users/1/segments/A', '{"mode":"include","ttl_seconds":5}', '/body/ttl_seconds'],
    ['POST', '/api/segments', '{"slug":"C","title":"x"}', '/body/title'],
    ['POST', '/api/segments', '{"slug":"C","id":7}', '/body/id'],
    ['PATCH', '/api/segments/A', '{"salt":"x"}', '/body/salt'],
    ['POST', '/api/users', '{"id":5}', '/body/id'],
    ['PATCH', '/api/users/1', '{"external_id":"x"}', '/body/external_id'],
    [
      'POST',
      '/auth/sign-up',
      '{"name":"x","username":"y","password":"long enough it is","role":"admin"}',
      '/body/role',
    ],
    ['PATCH', '/api/accounts/1', '{"admin":true}', '/body/admin'],
    ['DELETE', '/api/users/1/A', '{"slug":"A"}', '/body'],
    ['DELETE', '/api/segments/A', '{"force":true}', '/body'],
    ['POST', '/auth/sign-out', '{"everywhere":true}', '/body'],
  ])('%s %s %s', async (method, path, body, at) => {
    expectInvalid(await service.call(method, path, { token, body }), at);
  });
});

describe('JSON that is valid but must not be stored', () => {
  it.each<[string, string, string]>([
    ['NUL in a value', '/api/users', '{"name":"a\\u0000b"}'],
    ['NUL deep in attributes', '/api/users', '{"attributes":{"a":[{"b":"\\u0000"}]}}'],
    ['NUL in a key', '/api/users', '{"attributes":{"a\\u0000":1}}'],
    ['a lone high surrogate', '/api/users', '{"name":"\\ud800"}'],
    ['a lone low surrogate', '/api/users', '{"attributes":{"a":"x\\udc00"}}'],
    ['surrogates in the wrong order', '/api/users', '{"name":"\\udc00\\ud800"}'],
    ['a lone surrogate in a key', '/api/users', '{"attributes":{"\\ud800":1}}'],
    ['a lone surrogate in an external id', '/api/users', '{"external_id":"a\\ud83d"}'],
    ['a number beyond a double', '/api/users', '{"attributes":{"a":1e999}}'],
    ['NUL in a password', '/auth/sign-up', '{"name":"x","username":"nul","password":"long enough \\u0000"}'],
    ['NUL in a username at sign-in', '/auth/sign-in', '{"username":"adm\\u0000in","password":"x"}'],
    ['NUL in a slug to resolve', '/api/resolve', '{"users":["ext:\\u0000"]}'],
  ])('%s', async (_, path, body) => {
    expectInvalid(await post(path, body));
  });

  it.each<[string, string]>([
    ['raw', '{"attributes":{"__proto__":{"admin":true}}}'],
    ['escaped', '{"attributes":{"\\u005f_proto__":{"admin":true}}}'],
    ['at the top', '{"slug":"P","__proto__":{"description":"x"}}'],
    ['deep in a list', '{"attributes":{"a":[[{"__proto__":1}]]}}'],
    ['as a constructor', '{"attributes":{"constructor":{"prototype":{"admin":true}}}}'],
    ['as an escaped constructor', '{"attributes":{"c\\u006fnstructor":{"prototype":1}}}'],
  ])('a __proto__ key %s', async (_, body) => {
    const { status, body: problem } = await post('/api/users', body);
    expect([status, problem.code]).toEqual([400, 'malformed']);
    expect(({} as { admin?: boolean }).admin).toBeUndefined();
  });

  it.each(['constructor', 'hasOwnProperty', 'toString', 'prototype', ' ', 'a', '💩'])(
    'keeps an attribute that is merely called %j',
    async (key) => {
      const { body } = await post('/api/users', { attributes: { [key]: 'x' } });
      const read = await service.call('GET', `/api/users/${body.id}`, { token });
      expect(read.body.attributes).toEqual({ [key]: 'x' });
    },
  );

  it.each(['', 'a.b', '$x'])('refuses an attribute that no condition could ask for: %j', async (key) => {
    const { status, body } = await post('/api/users', { attributes: { [key]: 'x' } });
    expect([status, body.code]).toEqual([400, expect.any(String)]);
  });

  it('keeps what is whole: paired surrogates, escapes, numbers at the edge of a double', async () => {
    const attributes = { emoji: '💩', escaped: '\ud83d\ude00', big: 1.7976931348623157e308, tab: '\t', no: null };
    const { body } = await post('/api/users', { attributes });
    expect((await service.call('GET', `/api/users/${body.id}`, { token })).body.attributes).toEqual(attributes);
  });

  it.each<[string, Buffer]>([
    ['a stray continuation byte', Buffer.from('{"name":"\x80"}', 'latin1')],
    ['Latin-1', Buffer.from('{"name":"é"}', 'latin1')],
    ['an overlong slash', Buffer.from([...Buffer.from('{"name":"'), 0xc0, 0xaf, ...Buffer.from('"}')])],
    ['an encoded surrogate', Buffer.from([...Buffer.from('{"name":"'), 0xed, 0xa0, 0x80, ...Buffer.from('"}')])],
    ['a cut-off character', Buffer.from([...Buffer.from('{"name":"'), 0xf0, 0x9f, 0x92, ...Buffer.from('"}')])],
    ['UTF-16', Buffer.from('{"name":"x"}', 'utf16le')],
  ])('%s is not UTF-8', async (_, body) => {
    const { status, body: problem } = await post('/api/users', body);
    expect([status, problem.code]).toEqual([400, 'malformed']);
  });

  it('takes a byte order mark for what it is', async () => {
    expect((await post('/api/users', '\ufeff{"name":"bom"}')).status).toBe(201);
  });
});

describe('malformed JSON', () => {
  it.each([
    '{"slug":',
    '{"slug":"A",}',
    "{'slug':'A'}",
    '{slug:"A"}',
    '{"slug":"A"} geheimnis',
    'geheimnis',
    'undefined',
    'NaN',
    '{"ttl":0x10}',
    '{"ttl":+1}',
    '{"ttl":01}',
    '{"ttl":1.}',
    '{"slug":"A" /* geheimnis */}',
    '{"slug":"gehe\nimnis"}',
    '{"password":"geheimnis" "x"}',
    '   ',
    '[1,2',
    'slug=A&geheimnis=1',
  ])('%j is 400, and the answer does not repeat it', async (body) => {
    const { status, body: problem, text } = await post(add, body);
    expect([status, problem.code]).toEqual([400, 'malformed']);
    expect(text).not.toMatch(/gehe|imnis|slug/);
  });

  it('with tens of thousands of fields is 400, before they are parsed', async () => {
    const fields = (count: number) => Array.from({ length: count }, (_, i) => `"f${i.toString(36)}":1`).join();
    for (const [body, what] of [
      [`{"slug":"X",${fields(95_000)}}`, 'fields'],
      // Not even JSON: the count comes first.
      [`{"slug":"X",${fields(95_000)},}`, 'fields'],
      [`{"a":[${Array.from({ length: 20 }, () => `{${fields(4_000)}}`).join()}]}`, 'fields in all'],
    ] as const) {
      const answer = await service.call('POST', '/api/segments', { token: service.admin, body });
      expect([answer.status, answer.body.errors]).toEqual([
        400,
        [{ path: '/body', message: expect.stringMatching(new RegExp(`${what}$`)) }],
      ]);
    }
  });

  it('that is wrong in thousands of places names twenty of them', async () => {
    const wrong = Object.fromEntries(Array.from({ length: 4_000 }, (_, i) => [`f${i}`, 1]));
    const answer = await service.call('POST', '/api/segments', { token: service.admin, body: { slug: 'X', ...wrong } });
    expect([answer.status, answer.body.errors.length]).toEqual([400, 20]);
    expect(answer.body.errors[0]).toEqual({ path: '/body/f0', message: 'is not a known field' });
  });

  it('nested 100,000 deep is 400, and the service lives on', async () => {
    for (const body of [
      '['.repeat(100_000) + ']'.repeat(100_000),
      `${'{"a":'.repeat(100_000)}1${'}'.repeat(100_000)}`,
      `{"attributes":${'{"a":'.repeat(100_000)}1${'}'.repeat(100_000)}}`,
      `{"attributes":{"a":${'['.repeat(100_000)}${']'.repeat(100_000)}}}`,
      `{"slug":"Deep","condition":${'{"$and":['.repeat(50_000)}{}${']}'.repeat(50_000)}}`,
      '['.repeat(100_000),
    ]) {
      expect((await post('/api/users', body)).status).toBe(400);
      expect((await post('/api/segments', body)).status).toBe(400);
    }
    expect((await service.call('GET', '/readyz')).status).toBe(200);
  });

  it('that is merely huge and wrong is refused quickly and briefly', async () => {
    const started = processorMs();
    const keys = `{${Array.from({ length: 80_000 }, (_, i) => `"k${i}":1`).join(',')}}`;
    const many = await post('/api/segments', keys);
    expectInvalid(many);
    expect(many.body.errors.length).toBeLessThanOrEqual(20);
    const long = await post('/api/segments', { slug: 'L', ['x'.repeat(900_000)]: 1 });
    expect(long.status).toBe(400);
    const numbers = await post('/api/resolve', { users: Array.from({ length: 1000 }, (_, i) => i) });
    expectInvalid(numbers);
    const wrong = await post('/api/users/1/segments', { add: [] });
    expectInvalid(wrong);
    for (const { text } of [many, long, numbers]) expect(text.length).toBeLessThan(10_000);
    expect(processorMs() - started).toBeLessThan(3_000);
  });
});

describe('media types', () => {
  const body = '{"slug":"A"}';
  it.each([
    'text/plain',
    'text/plain; charset=utf-8',
    'text/json',
    'application/x-www-form-urlencoded',
    'multipart/form-data; boundary=x',
    'application/xml',
    'application/jsonp',
    'application/merge-patch+json',
    'application/octet-stream',
    'application/json; charset=latin1',
    'application/json; charset=iso-8859-1',
    'application/json;charset="utf-16"',
    'application/json; charset=utf-7',
    'json',
    '*/*',
    ';',
    ' ',
  ])('%j is 415', async (type) => {
    const { status, body: problem } = await post(add, body, { 'content-type': type });
    expect([status, problem.code]).toEqual([415, 'media_type']);
  });

  it.each([
    'application/json',
    'Application/JSON',
    'application/json;charset=utf-8',
    'application/json; charset=UTF-8',
    'application/json; charset="utf-8"',
    'application/json ; charset=utf-8',
  ])('%j is taken', async (type) => {
    expect((await post(add, body, { 'content-type': type })).status).toBe(200);
  });

  it('a body without a type is 415', async () => {
    const { status } = await service.call('POST', add, { token, body, headers: { 'content-type': '' } });
    expect(status).toBe(415);
  });

  it.each(['gzip', 'br', 'deflate'])('a body encoded with %s is 415', async (encoding) => {
    expect((await post(add, body, { 'content-encoding': encoding })).status).toBe(415);
  });
});

describe('an empty body', () => {
  it.each(['POST', 'PATCH'])('is 400 where one is needed: %s', async (method) => {
    for (const options of [{}, { headers: { 'content-type': 'application/json' } }, { body: '' }]) {
      expectInvalid(await service.call(method, add, { token, ...options }), '/body');
    }
  });

  it.each(['/api/users/1/A', '/api/users/1/segments/A', '/api/segments/Empty'])(
    'is fine with Content-Type: application/json: DELETE %s',
    async (path) => {
      for (const type of ['application/json', 'application/json; charset=utf-8']) {
        await post('/api/segments', { slug: 'Empty' });
        const { status, text } = await service.call('DELETE', path, { token, headers: { 'content-type': type } });
        expect([status, text]).toEqual([200, '{"status":"ok"}']);
      }
      expect((await service.call('DELETE', path, { token, body: '{}' })).status).toBeOneOf([200, 404]);
    },
  );
});

describe('sizes', () => {
  const mebibyte = 1024 * 1024;
  const sized = (bytes: number) => `{"slug":"A","x":"${'x'.repeat(bytes - 19)}"}`;

  it('1 MiB is read, one byte more is 413', async () => {
    expect(Buffer.byteLength(sized(mebibyte))).toBe(mebibyte);
    expectInvalid(await post(add, sized(mebibyte)), '/body/x');
    const { status, body } = await post(add, sized(mebibyte + 1));
    expect([status, body.code]).toEqual([413, 'too_large']);
  });

  it('counts bytes, not characters', async () => {
    const { status } = await post(add, `{"slug":"A","x":"${'é'.repeat(mebibyte / 2)}"}`);
    expect(status).toBe(413);
  });

  it.each<[string, string, (n: number) => unknown]>([
    ['PATCH', add, (n) => ({ add: Array.from({ length: n }, (_, i) => `S${i}`) })],
    ['PATCH', add, (n) => ({ remove: Array.from({ length: n }, (_, i) => `S${i}`) })],
    ['POST', '/api/resolve', (n) => ({ users: Array.from({ length: n }, (_, i) => String(i + 1)) })],
    ['POST', '/api/resolve', (n) => ({ users: ['1'], segments: Array.from({ length: n }, (_, i) => `S${i}`) })],
    ['POST', '/api/users', (n) => ({ attributes: { list: Array.from({ length: n }, () => 1) } })],
    ['POST', '/api/segments/preview', (n) => ({ condition: { a: { $in: Array.from({ length: n }, (_, i) => i) } } })],
  ])('a list of more than 1,000 entries is 400: %s %s', async (method, path, of) => {
    expectInvalid(await service.call(method, path, { token, body: of(1_001) }));
    const { body } = await service.call(method, path, { token, body: of(990) });
    expect(JSON.stringify(body)).not.toMatch(/entries/);
  });

  it('1,000 users are resolved, in the order asked', async () => {
    const users = Array.from({ length: 1_000 }, (_, i) => String(1_000 - i));
    const { status, body } = await post('/api/resolve', { users });
    expect(status).toBe(200);
    expect(body.results.map(({ user }: { user: string }) => user)).toEqual(users);
  });
});

describe('times', () => {
  it.each([
    'infinity',
    '-infinity',
    'now',
    'tomorrow',
    '2099-11-23',
    '2099-11-23T08:00:00',
    '2099-11-23 08:00:00Z',
    '2099-11-23T08:00:60Z',
    '2099-11-23T24:00:00Z',
    '2099-02-30T00:00:00Z',
    '10000-01-01T00:00:00Z',
    '1969-12-31T23:59:59Z',
    '0099-01-01T00:00:00Z',
    '',
    `2099-11-23T08:00:00Z${NUL}`,
  ])('%j is 400 in bodies and in queries', async (time) => {
    expectInvalid(await post(add, { slug: 'A', expires_at: time }));
    // An empty filter is none.
    const { status } = await service.call('GET', `/api/users/1/history?from=${encodeURIComponent(time)}`, { token });
    expect(status).toBe(time === '' ? 200 : 400);
  });

  it.each(['1970-01-01T00:00:00Z', '2020-01-01T00:00:00.000Z'])('the past (%s) is 400', async (time) => {
    expectInvalid(await post(add, { slug: 'A', expires_at: time }), '/body/expires_at');
  });

  it('both expires_at and ttl is 400', async () => {
    expectInvalid(await post(add, { slug: 'A', expires_at: '2099-01-01T00:00:00Z', ttl: 60 }));
  });

  it.each([
    ['2099-11-23T08:00:00+03:00', '2099-11-23T05:00:00.000Z'],
    ['2099-11-23t08:00:00.1234567z', '2099-11-23T08:00:00.123Z'],
    ['2099-11-23T08:00:00-23:59', '2099-11-24T07:59:00.000Z'],
    ['9999-12-31T23:59:59.999Z', '9999-12-31T23:59:59.999Z'],
  ])('%s is answered in UTC with milliseconds: %s', async (asked, answered) => {
    expect((await post(add, { slug: 'A', expires_at: asked })).status).toBe(200);
    const { body } = await service.call('GET', '/api/users/1/segments/A', { token });
    expect(body.expires_at).toBe(answered);
  });

  it('every time in every answer is RFC 3339 in UTC with milliseconds', async () => {
    const paths = [
      '/api/users/1',
      '/api/users/1/memberships',
      '/api/users/1/history',
      '/api/segments',
      '/api/segments/A',
      '/api/segments/A/users',
      '/api/segments/A/history',
      '/api/accounts',
    ];
    for (const path of paths) {
      const { text, status } = await service.call('GET', path, { token });
      expect(status).toBe(200);
      const times = [...text.matchAll(/"(?:at|since|[a-z]+_at)":("[^"]*"|[^n])/g)].map(([, time]) => time);
      expect(times.length, path).toBeGreaterThan(0);
      for (const time of times) expect(time).toMatch(/^"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"$/);
    }
  });
});
