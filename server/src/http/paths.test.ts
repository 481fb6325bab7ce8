import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Service, startService } from '../../test/service.ts';

let service: Service;
let token: string;
beforeAll(async () => {
  service = await startService({ mode: 'production' });
  token = service.admin;
  await service.call('POST', '/api/segments', { token, body: { slug: 'A' } });
});
afterAll(() => service.stop());

const get = (path: string) => service.call('GET', path, { token });
const everyUserPath = [
  ['GET', ''],
  ['PATCH', ''],
  ['DELETE', ''],
  ['GET', '/segments'],
  ['POST', '/segments'],
  ['PATCH', '/segments'],
  ['GET', '/segments/A'],
  ['PUT', '/segments/A'],
  ['DELETE', '/segments/A'],
  ['DELETE', '/A'],
  ['GET', '/memberships'],
  ['GET', '/history'],
] as const;
const bodies: Record<string, unknown> = {
  PATCH: {},
  'POST /segments': { slug: 'A' },
  'PUT /segments/A': { mode: 'include' },
};
const bodyOf = (method: string, rest: string) => bodies[`${method} ${rest}`] ?? bodies[method];

async function everywhere(user: string): Promise<number[]> {
  const answers = [];
  for (const [method, rest] of everyUserPath) {
    answers.push(await service.call(method, `/api/users/${user}${rest}`, { token, body: bodyOf(method, rest) }));
  }
  return answers.map(({ status }) => status);
}
const all = (status: number) => everyUserPath.map(() => status);

describe('an id in a path is decimal digits only, no leading zero, up to 9007199254740991', () => {
  it.each([
    '0',
    '01',
    '00',
    '-1',
    '+1',
    '%2B1',
    '%201',
    '1%20',
    '1%0A',
    '1.0',
    '1e3',
    '0x10',
    '9007199254740992',
    '9007199254740993',
    '9223372036854775808',
    '100000000000000000000000000000',
    'abc',
    'null',
    'true',
    'undefined',
    '%D9%A1',
    '1%00',
    '1,2',
    'EXT:a',
    'ext',
  ])('%s is 400 on every path', async (user) => {
    expect(await everywhere(user)).toEqual(all(400));
  });

  it('the largest one is merely unknown: 404', async () => {
    expect(await everywhere('9007199254740991')).toEqual(all(404));
  });

  it('percent-encoded digits are the digits', async () => {
    expect((await get('/api/users/%31')).body.id).toBe(1);
  });

  it.each(['0', '01', 'abc', '1.0', '-1', '9007199254740993', '1e3'])('of accounts and keys, too: %s', async (id) => {
    const changed = await service.call('PATCH', `/api/accounts/${id}`, { token, body: { disabled: false } });
    const revoked = await service.call('DELETE', `/api/keys/${id}`, { token });
    expect([changed.status, revoked.status]).toEqual([400, 400]);
  });
});

describe('an external id in a path', () => {
  it.each([
    ['empty', 'ext:'],
    ['NUL', 'ext:%00'],
    ['NUL inside', 'ext:a%00b'],
    ['a C0 control', 'ext:a%01'],
    ['a tab', 'ext:%09'],
    ['a newline', 'ext:a%0A'],
    ['DEL', 'ext:%7F'],
    ['the first C1 control', 'ext:%C2%80'],
    ['the last C1 control', 'ext:%C2%9F'],
    ['256 bytes', `ext:${'x'.repeat(256)}`],
    ['256 bytes in 128 characters', `ext:${'%C3%A9'.repeat(128)}`],
    ['4,000 bytes', `ext:${'x'.repeat(4_000)}`],
  ])('that is or holds %s is 400 on every path', async (_, user) => {
    expect(await everywhere(user)).toEqual(all(400));
  });

  it.each([
    ['invalid UTF-8', 'ext:%FF'],
    ['an overlong slash', 'ext:%C0%AF'],
    ['an encoded surrogate', 'ext:%ED%A0%80'],
    ['a cut-off character', 'ext:%F0%9F%92'],
    ['a broken escape', 'ext:%zz'],
    ['half an escape', 'ext:a%2'],
    ['a bare percent sign', 'ext:100%'],
  ])('that holds %s is 400 on every path', async (_, user) => {
    expect(await everywhere(user)).toEqual(all(400));
  });

  it.each([
    '4f2a@shop',
    'a/b',
    '/',
    '//',
    '..',
    'a%2Fb',
    '%41',
    '%2541',
    '100%',
    '%',
    '+',
    'a+b c',
    'a?b=c&d#e',
    ';,:$=',
    '2',
    'ext:nested',
    'segments',
    'Ünïcödé',
    'ünïcödé',
    'é',
    'e\u0301',
    '名前',
    '💩',
    '"\'<>\\',
    ' ',
    ' a ',
    'x'.repeat(255),
    'é'.repeat(127),
    '💩'.repeat(63),
  ])('%j names that user and no other', async (externalId) => {
    const made = await service.call('POST', '/api/users', { token, body: { external_id: externalId } });
    expect(made.status).toBe(201);
    const user = `ext:${encodeURIComponent(externalId)}`;
    const read = await get(`/api/users/${user}`);
    expect(read.body).toMatchObject({ id: made.body.id, external_id: externalId });
    await service.call('POST', `/api/users/${user}/segments`, { token, body: { slug: 'A' } });
    expect((await get(`/api/users/${made.body.id}/segments`)).text).toBe('{"segments":["A"]}');
    expect((await get(`/api/users/${user}/segments`)).text).toBe('{"segments":["A"]}');
    expect((await service.call('DELETE', `/api/users/${user}/A`, { token })).status).toBe(200);
    expect((await get(`/api/users/${made.body.id}/segments`)).text).toBe('{"segments":[]}');
  });

  it('is what it says for any text: two texts are two users, one text is one', async () => {
    const texts = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 }).filter((text) => !/\p{Cc}/u.test(text));
    await fc.assert(
      fc.asyncProperty(texts, async (externalId) => {
        const user = `ext:${encodeURIComponent(externalId)}`;
        const { status, body } = await service.call('PATCH', `/api/users/${user}`, { token, body: {} });
        expect([status, body.external_id]).toEqual([200, externalId]);
        expect((await get(`/api/users/${body.id}`)).body.external_id).toBe(externalId);
      }),
      { numRuns: 60 },
    );
  });

  it('with a percent-encoded colon is the same', async () => {
    const { body } = await service.call('PATCH', '/api/users/ext:colon', { token, body: {} });
    expect((await get('/api/users/ext%3Acolon')).body.id).toBe(body.id);
  });

  it('is registered by POST, PUT and PATCH when unknown, and by nothing else', async () => {
    for (const [i, [method, rest]] of everyUserPath.entries()) {
      const user = `ext:new-${i}`;
      const { status } = await service.call(method, `/api/users/${user}${rest}`, { token, body: bodyOf(method, rest) });
      const writes = ['POST', 'PUT', 'PATCH'].includes(method);
      expect([method, rest, status]).toEqual([method, rest, writes ? 200 : 404]);
      expect([method, rest, (await get(`/api/users/${user}`)).status]).toEqual([method, rest, writes ? 200 : 404]);
    }
  });

  it('is not registered by a call that fails', async () => {
    const failing = [
      ['POST', '/segments', { slug: 'Unknown' }, 404],
      ['POST', '/segments', { slug: 'A', ttl: 0 }, 400],
      ['POST', '/segments', { slug: 'A', expires_at: '2001-01-01T00:00:00Z' }, 400],
      ['PUT', '/segments/Unknown', { mode: 'include' }, 404],
      ['PUT', '/segments/A', { mode: 'maybe' }, 400],
      ['PATCH', '/segments', { add: ['A', 'Unknown'] }, 404],
      ['PATCH', '/segments', { add: ['A'], remove: ['A'] }, 400],
      ['PATCH', '', { attributes: { a: 'x'.repeat(17_000) } }, 413],
    ] as const;
    for (const [method, rest, body, expected] of failing) {
      const { status } = await service.call(method, `/api/users/ext:ghost${rest}`, { token, body });
      expect([method, rest, body, status]).toEqual([method, rest, body, expected]);
      expect((await get('/api/users/ext:ghost')).status).toBe(404);
    }
  });
});

describe('a slug', () => {
  const longest = `L${'x'.repeat(254)}`;

  it.each(['a', '0', 'AVITO_DISCOUNT_50', 'a.b-c_d', 'A..', '9', 'segments', 'history', 'preview', longest])(
    '%s is good in bodies and in paths',
    async (slug) => {
      expect((await service.call('POST', '/api/segments', { token, body: { slug } })).status).toBe(200);
      expect((await get(`/api/segments/${slug}`)).body.slug).toBe(slug);
      expect((await service.call('POST', '/api/users/1/segments', { token, body: { slug } })).status).toBe(200);
      expect((await service.call('DELETE', `/api/users/1/${slug}`, { token })).status).toBe(200);
      expect((await service.call('DELETE', `/api/segments/${slug}`, { token })).text).toBe('{"status":"ok"}');
    },
  );

  it.each([
    '',
    '-a',
    '_a',
    '.a',
    '..',
    ' a',
    'a ',
    'a b',
    'a/b',
    'a\n',
    'a\u0000',
    'ä',
    'а',
    'a💩',
    'a@b',
    'a%b',
    `${longest}x`,
    'x'.repeat(5_000),
  ])('%j is 400 in bodies and in paths', async (slug) => {
    const answers = [
      await service.call('POST', '/api/segments', { token, body: { slug } }),
      await service.call('POST', '/api/users/1/segments', { token, body: { slug } }),
      await service.call('PATCH', '/api/users/1/segments', { token, body: { add: [slug] } }),
      await service.call('PATCH', '/api/users/1/segments', { token, body: { remove: [slug] } }),
      await service.call('POST', '/api/resolve', { token, body: { users: ['1'], segments: [slug] } }),
      // An empty filter is none.
      await get(`/api/users/1/history?segment=${slug === '' ? '-' : encodeURIComponent(slug)}`),
    ];
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 400));
    // No client sends these two as they are: the first is no path of its own, the second is resolved away.
    if (slug === '' || slug === '..') return;
    const encoded = encodeURIComponent(slug);
    const paths = [
      await get(`/api/segments/${encoded}`),
      await get(`/api/segments/${encoded}/count`),
      await get(`/api/users/1/segments/${encoded}`),
      await service.call('DELETE', `/api/users/1/${encoded}`, { token }),
      await service.call('DELETE', `/api/segments/${encoded}`, { token }),
    ];
    expect(paths.map(({ status }) => status)).toEqual(paths.map(() => 400));
  });

  it('is case-sensitive', async () => {
    for (const slug of ['Case', 'case', 'CASE']) {
      expect((await service.call('POST', '/api/segments', { token, body: { slug } })).status).toBe(200);
    }
    await service.call('POST', '/api/users/1/segments', { token, body: { slug: 'case' } });
    expect((await get('/api/users/1/segments')).body.segments).toEqual(['case']);
    expect((await get('/api/segments/cAsE')).status).toBe(404);
    expect((await get('/api/users/1/segments/CASE')).body.member).toBe(false);
  });

  it('may be percent-encoded in a path', async () => {
    await service.call('POST', '/api/segments', { token, body: { slug: 'Enc-1.x' } });
    expect((await get('/api/segments/%45nc%2D1%2Ex')).body.slug).toBe('Enc-1.x');
  });
});

describe('a query string', () => {
  it.each(['1', '100', '1000', '%31'])('limit=%s is taken', async (limit) => {
    expect((await get(`/api/segments?limit=${limit}`)).status).toBe(200);
  });

  const lists = [
    '/api/segments',
    '/api/users',
    '/api/accounts',
    '/api/keys',
    '/api/segments/A/users',
    '/api/segments/A/history',
    '/api/users/1/history',
  ];
  it.each([
    '0',
    '1001',
    '-1',
    '1.0',
    '1.5',
    '1e2',
    '0x10',
    '010',
    '+5',
    '%205',
    '5%20',
    '',
    'abc',
    'null',
    '99999999999999999999',
  ])('limit=%s is 400 on every list', async (limit) => {
    const answers = await Promise.all(lists.map((path) => get(`${path}?limit=${limit}`)));
    expect(answers.map(({ status }) => status)).toEqual(lists.map(() => 400));
    expect(answers[0]?.body.errors[0].path).toBe('/query/limit');
  });

  it.each([
    '/api/segments?limit=1&limit=2',
    '/api/segments?limit=1&limit=1',
    '/api/segments?query=a&query=b',
    '/api/segments?tag=a&tag=a',
    '/api/segments?limit[]=1',
    '/api/segments?offset=1',
    '/api/segments?Limit=1',
    '/api/segments?__proto__=1',
    '/api/segments?constructor=1',
    '/api/users/1/segments?limit=1',
    '/api/users/1?x',
    '/api/segments?query=%00',
    '/api/segments?query=a%00b',
    '/api/segments?query=a?b%00',
    '/api/segments?query=%FF',
    '/api/segments?query=a?%FF',
    '/api/segments?query=%ED%A0%80',
    '/api/segments?query=%C0%AF',
    '/api/segments?query=%zz',
    '/api/segments?query=%',
    '/api/segments?%00=1',
    `/api/segments?tag=${'x'.repeat(256)}`,
    `/api/segments?query=${'x'.repeat(256)}`,
    '/api/users/1/history?from=now',
    '/api/users/1/history?from=2026-11-23T08:00:00+03:00',
    '/api/users/1/history?segment=-',
    '/api/users/1/segments?at=infinity',
    '/api/users/1/segments?at=',
    '/api/users/1/segments?at=2026-02-30T00:00:00Z',
  ])('%s is 400', async (path) => {
    expect((await get(path)).status).toBe(400);
  });

  it('of a known form is taken: empty, encoded, with an offset', async () => {
    for (const path of [
      '/api/segments?',
      '/api/segments?query=',
      '/api/segments?query=a?b',
      '/api/segments?query=%C3%A9+%2B',
      '/api/users/1/history?from=2026-11-23T08:00:00%2B03:00',
    ]) {
      expect([path, (await get(path)).status]).toEqual([path, 200]);
    }
  });

  it('is refused in calls that write, too, before anything is written', async () => {
    const { status } = await service.call('POST', '/api/segments?dry_run=true', { token, body: { slug: 'Dry' } });
    expect([status, (await get('/api/segments/Dry')).status]).toEqual([400, 404]);
  });
});

describe('a cursor', () => {
  const cursors: Record<string, string> = {};
  beforeAll(async () => {
    for (const slug of ['C1', 'C2', 'C3']) {
      await service.call('POST', '/api/segments', { token, body: { slug } });
      await service.call('PATCH', `/api/segments/${slug}`, { token, body: { description: slug } });
      for (const user of ['ext:c1', 'ext:c2']) {
        await service.call('POST', `/api/users/${user}/segments`, { token, body: { slug } });
      }
      await service.call('POST', '/api/keys', { token, body: { name: slug, role: 'viewer' } });
      await service.account(`account-${slug}`);
    }
    for (const list of lists()) {
      const { body, status } = await get(`${list}?limit=1`);
      expect([list, status, typeof body.next_cursor]).toEqual([list, 200, 'string']);
      cursors[list] = body.next_cursor;
    }
  });
  const lists = () => [
    '/api/segments',
    '/api/users',
    '/api/accounts',
    '/api/keys',
    '/api/segments/C1/users',
    '/api/segments/C2/users',
    '/api/segments/C1/history',
    '/api/users/ext:c1/history',
    '/api/users/ext:c2/history',
  ];

  it('goes on where the page before ended, on every list', async () => {
    for (const list of lists()) {
      const everything = (await get(`${list}?limit=1000`)).body;
      const [name = ''] = Object.keys(everything);
      expect(everything.next_cursor).toBeNull();
      const found: unknown[] = [];
      for (let cursor: string | null = ''; cursor !== null; ) {
        const { body } = await get(`${list}?limit=2${cursor === '' ? '' : `&cursor=${cursor}`}`);
        found.push(...body[name]);
        cursor = body.next_cursor;
      }
      expect(found).toEqual(everything[name]);
    }
  });

  it('of one list is 400 on every other', async () => {
    for (const from of lists()) {
      for (const to of lists()) {
        const { status } = await get(`${to}?limit=1&cursor=${cursors[from]}`);
        expect([from, to, status]).toEqual([from, to, from === to ? 200 : 400]);
      }
    }
  });

  it('that was tampered with is 400 on every list', async () => {
    for (const list of lists()) {
      const good = cursors[list] ?? '';
      const flipped = (at: number) => `${good.slice(0, at)}${good[at] === 'A' ? 'B' : 'A'}${good.slice(at + 1)}`;
      const bad = [
        '',
        'x',
        'abc',
        '1',
        'null',
        '%00',
        '%F0%9F%92%A9',
        `${good}A`,
        `${good}=`,
        `${good}%0A`,
        good.slice(0, -1),
        good.slice(1),
        good.toLowerCase(),
        flipped(0),
        flipped(Math.floor(good.length / 2)),
        flipped(good.length - 1),
        Buffer.from('[1]').toString('base64url'),
        'A'.repeat(22),
        'A'.repeat(3_000),
      ];
      for (const cursor of bad) {
        const { status } = await get(`${list}?cursor=${cursor}`);
        expect([list, cursor, status]).toEqual([list, cursor, 400]);
      }
    }
  });

  it('is good at another instance of the service', async () => {
    const other = await startService({ mode: 'production', database: service.url });
    try {
      const { status } = await other.call('GET', `/api/segments?cursor=${cursors['/api/segments']}`, { token });
      expect(status).toBe(200);
    } finally {
      await other.stop();
    }
  });
});
