import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Client, clientOf } from '../../../test/client.ts';
import { type Answer, type Service, startService } from '../../../test/service.ts';

let service: Service;
let client: Client;
let viewer: string;

beforeAll(async () => {
  service = await startService({ mode: 'production' });
  client = clientOf(service);
  viewer = (await client.call('POST', '/api/keys', { name: 'shop', role: 'viewer' })).body.key;
});
afterAll(() => service.stop());

interface Options {
  readonly token?: string;
  readonly headers?: Record<string, string>;
}

function evaluate(slug: string, context: unknown, { token = viewer, headers = {} }: Options = {}): Promise<Answer> {
  return service.call('POST', `/ofrep/v1/evaluate/flags/${slug}`, { token, body: { context }, headers });
}

function evaluateAll(context: unknown, { token = viewer, headers = {} }: Options = {}): Promise<Answer> {
  return service.call('POST', '/ofrep/v1/evaluate/flags', { token, body: { context }, headers });
}

async function browserKey(tags: string[], origins = ['https://shop.example']): Promise<string> {
  return (await client.call('POST', '/api/keys', { name: 'web', role: 'browser', tags, origins })).body.key;
}

/** Computed by the formula of the contract. */
function bucketOf(salt: string, key: string): number {
  return (createHash('sha256').update(`${salt}:${key}`).digest().readUInt32BE(0) / 2 ** 32) * 100;
}

describe('one flag', () => {
  it('is STATIC for a list and an override', async () => {
    await client.segment('LIST');
    await client.user({ external_id: 'ann' });
    await client.add('ext:ann', 'LIST');
    const { status, body } = await evaluate('LIST', { targetingKey: 'ann' });
    expect(status).toBe(200);
    expect(body).toEqual({ key: 'LIST', value: true, variant: 'member', reason: 'STATIC', metadata: {} });
    expect((await evaluate('LIST', { targetingKey: 'bob' })).body).toEqual({
      ...body,
      value: false,
      variant: 'not_member',
    });
  });

  it('is SPLIT where a percentage decides, by the external id', async () => {
    await client.segment('HALF', { percentage: 50 });
    const { salt } = await client.get('/api/segments/HALF');
    for (const key of ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h']) {
      const { body } = await evaluate('HALF', { targetingKey: key });
      expect([body.value, body.reason]).toEqual([bucketOf(salt, key) < 50, 'SPLIT']);
    }
  });

  it('is SPLIT for a ramp and a layer, too', async () => {
    await client.call('POST', '/api/layers', { slug: 'layer' });
    await client.segment('LAYERED', { layer: { slug: 'layer', from: 0, to: 100 } });
    const hour = 3_600_000;
    const [starts_at, ends_at] = [-hour, hour].map((ms) => new Date(Date.now() + ms).toISOString());
    await client.segment('RAMP', { ramp: { from: 0, to: 100, starts_at, ends_at } });
    for (const slug of ['LAYERED', 'RAMP'])
      expect((await evaluate(slug, { targetingKey: 'zoe' })).body.reason).toBe('SPLIT');
  });

  it('is TARGETING_MATCH where a condition lets in, DEFAULT where it does not', async () => {
    await client.segment('DUTCH', { condition: { country: 'NL' } });
    await client.user({ external_id: 'nel', attributes: { country: 'NL' } });
    await client.user({ external_id: 'fra', attributes: { country: 'FR' } });
    expect((await evaluate('DUTCH', { targetingKey: 'nel' })).body).toMatchObject({
      value: true,
      reason: 'TARGETING_MATCH',
    });
    expect((await evaluate('DUTCH', { targetingKey: 'fra' })).body).toMatchObject({ value: false, reason: 'DEFAULT' });
  });

  it('is DEFAULT before a start and after an end', async () => {
    await client.segment('LATER', { percentage: 100, active_from: '2999-01-01T00:00:00Z' });
    expect((await evaluate('LATER', { targetingKey: 'ann' })).body).toMatchObject({ value: false, reason: 'DEFAULT' });
  });

  it('takes the context over the attributes for this one evaluation, and registers no user', async () => {
    const users = (await client.get('/api/users?limit=1000')).users.length;
    expect((await evaluate('DUTCH', { targetingKey: 'fra', country: 'NL' })).body.value).toBe(true);
    expect((await evaluate('DUTCH', { targetingKey: 'stranger', country: 'NL' })).body.value).toBe(true);
    expect((await evaluate('DUTCH', { targetingKey: 'fra' })).body.value).toBe(false);
    expect((await client.get('/api/users?limit=1000')).users).toHaveLength(users);
  });

  it('never takes the targetingKey for an id of ours', async () => {
    const id = await client.user({ external_id: 'with-id' });
    await client.add(id, 'LIST');
    expect((await evaluate('LIST', { targetingKey: String(id) })).body.value).toBe(false);
  });

  it.each([
    ['no body', '', 400, 'PARSE_ERROR'],
    ['broken JSON', '{"context":', 400, 'PARSE_ERROR'],
    ['a list', '[]', 400, 'PARSE_ERROR'],
    ['no context', '{}', 400, 'TARGETING_KEY_MISSING'],
    ['an empty context', '{"context":{}}', 400, 'TARGETING_KEY_MISSING'],
    ['an empty key', '{"context":{"targetingKey":""}}', 400, 'TARGETING_KEY_MISSING'],
    ['a context that is a text', '{"context":"x"}', 400, 'INVALID_CONTEXT'],
    ['a context that is null', '{"context":null}', 400, 'INVALID_CONTEXT'],
    ['a context that is a list', '{"context":[]}', 400, 'INVALID_CONTEXT'],
    ['a key that is a number', '{"context":{"targetingKey":7}}', 400, 'INVALID_CONTEXT'],
    ['a key that is too long', `{"context":{"targetingKey":"${'x'.repeat(256)}"}}`, 400, 'INVALID_CONTEXT'],
    ['NUL', '{"context":{"targetingKey":"a","b":"\\u0000"}}', 400, 'INVALID_CONTEXT'],
    [
      'a context that is too large',
      `{"context":{"targetingKey":"a","b":"${'x'.repeat(17_000)}"}}`,
      400,
      'INVALID_CONTEXT',
    ],
  ])('refuses %s as OFREP does', async (_, body, status, errorCode) => {
    for (const path of ['/ofrep/v1/evaluate/flags/LIST', '/ofrep/v1/evaluate/flags']) {
      const answer = await service.call('POST', path, { token: viewer, body });
      expect([answer.status, answer.body.errorCode]).toEqual([status, errorCode]);
    }
  });

  it('answers every other refusal in the form of OFREP, too', async () => {
    const unknown = await evaluate('NOWHERE', { targetingKey: 'ann' });
    expect(unknown.status).toBe(404);
    expect(unknown.body).toMatchObject({ key: 'NOWHERE', errorCode: 'FLAG_NOT_FOUND' });
    expect((await evaluate('not%20a%20slug', { targetingKey: 'ann' })).body.errorCode).toBe('FLAG_NOT_FOUND');
    const path = '/ofrep/v1/evaluate/flags/LIST';
    expect((await service.call('POST', path, { body: {} })).status).toBe(401);
    const { token } = await service.account('a.member');
    expect((await evaluate('LIST', { targetingKey: 'ann' }, { token })).status).toBe(403);
    expect((await service.call('GET', path, { token: viewer })).status).toBe(405);
    expect((await service.call('GET', '/ofrep/v1/nowhere', { token: viewer })).status).toBe(404);
    const text = await service.call('POST', path, {
      token: viewer,
      body: 'x',
      headers: { 'content-type': 'text/plain' },
    });
    expect(text.status).toBe(415);
  });
});

describe('all flags', () => {
  it('agree with each flag, and with the why', async () => {
    for (const key of ['ann', 'nel', 'fra', 'stranger']) {
      const { body } = await evaluateAll({ targetingKey: key });
      const slugs: string[] = (await client.get('/api/segments?limit=1000')).segments.map(
        ({ slug }: { slug: string }) => slug,
      );
      expect(body.flags.map(({ key: slug }: { key: string }) => slug)).toEqual(slugs);
      for (const flag of body.flags) {
        expect((await evaluate(flag.key, { targetingKey: key })).body).toEqual(flag);
        if (key !== 'stranger') expect((await client.why(`ext:${key}`, flag.key)).member).toBe(flag.value);
      }
    }
  });

  it('answer 304 until something that decides has changed', async () => {
    const first = await evaluateAll({ targetingKey: 'ann' });
    const tag = String(first.headers.etag);
    for (const named of [tag, `W/${tag}`, `"other, one", ${tag}`, '*']) {
      const again = await service.call('POST', '/ofrep/v1/evaluate/flags', {
        token: viewer,
        body: { context: { targetingKey: 'ann' } },
        headers: { 'if-none-match': named },
      });
      expect([again.status, again.text]).toEqual([304, '']);
    }
    expect(
      (await evaluateAll({ targetingKey: 'ann', country: 'NL' }, { headers: { 'if-none-match': tag } })).status,
    ).toBe(200);
    expect(
      (await evaluateAll({ targetingKey: 'ann' }, { token: service.admin, headers: { 'if-none-match': tag } })).status,
    ).toBe(200);
    await client.remove('ext:ann', 'LIST');
    expect((await evaluateAll({ targetingKey: 'ann' }, { headers: { 'if-none-match': tag } })).status).toBe(200);
    await client.add('ext:ann', 'LIST');
  });

  it('announce a stream whose address stays the same and carries the path prefix', async () => {
    const [one, two] = await Promise.all([evaluateAll({ targetingKey: 'ann' }), evaluateAll({ targetingKey: 'ann' })]);
    expect(one.body.eventStreams).toEqual(two.body.eventStreams);
    expect(one.body.eventStreams).toEqual([
      {
        type: 'sse',
        endpoint: { requestUri: expect.stringMatching(/^\/ofrep\/v1\/events\/[\w-]+$/) },
        inactivityDelaySec: 120,
      },
    ]);
    const prefixed = await startService({
      mode: 'production',
      database: service.url,
      env: { PUBLIC_URL: 'https://kohort.example/base' },
    });
    const { body } = await prefixed.call('POST', '/ofrep/v1/evaluate/flags', {
      token: viewer,
      body: { context: { targetingKey: 'ann' } },
    });
    expect(body.eventStreams[0].endpoint).toEqual({
      origin: 'https://kohort.example',
      requestUri: expect.stringMatching(/^\/base\/ofrep\/v1\/events\//),
    });
    await prefixed.stop();
  });
});

describe('a key with tags', () => {
  it('sees the segments that carry one of them, and no other', async () => {
    await client.segment('WEB', { tags: ['web'], percentage: 100 });
    const { key } = (await client.call('POST', '/api/keys', { name: 't', role: 'viewer', tags: ['web'] })).body;
    const { body } = await evaluateAll({ targetingKey: 'ann' }, { token: key });
    expect(body.flags.map(({ key: slug }: { key: string }) => slug)).toEqual(['WEB']);
    expect((await evaluate('LIST', { targetingKey: 'ann' }, { token: key })).status).toBe(404);
  });
});

describe('a browser key', () => {
  const origin = { origin: 'https://shop.example' };

  it('evaluates its segments from its origins alone', async () => {
    const token = await browserKey(['web']);
    const mine = await evaluate('WEB', { targetingKey: 'ann' }, { token, headers: origin });
    expect([mine.status, mine.headers['access-control-allow-origin']]).toEqual([200, 'https://shop.example']);
    expect(String(mine.headers.vary).toLowerCase()).toContain('origin');
    expect((await evaluate('LIST', { targetingKey: 'ann' }, { token, headers: origin })).status).toBe(404);
    expect((await evaluate('WEB', { targetingKey: 'ann' }, { token })).status).toBe(403);
    const foreign = await evaluate(
      'WEB',
      { targetingKey: 'ann' },
      { token, headers: { origin: 'https://evil.example' } },
    );
    expect([foreign.status, foreign.headers['access-control-allow-origin']]).toEqual([403, undefined]);
    expect((await service.call('GET', '/api/segments', { token, headers: origin })).status).toBe(403);
  });

  it('may not put its context over stored attributes', async () => {
    await client.segment('WEB_DUTCH', { tags: ['web'], condition: { country: 'NL' } });
    const token = await browserKey(['web']);
    const ask = (context: object) => evaluate('WEB_DUTCH', context, { token, headers: origin });
    expect((await ask({ targetingKey: 'fra', country: 'NL' })).body.value).toBe(false);
    expect((await ask({ targetingKey: 'nel', country: 'FR' })).body.value).toBe(true);
    expect((await ask({ targetingKey: 'stranger', country: 'NL' })).body.value).toBe(true);
  });

  it('is asked for by a preflight, which is answered for its origins and no others', async () => {
    await browserKey(['web']);
    const preflight = (from: string, path = '/ofrep/v1/evaluate/flags') =>
      service.call('OPTIONS', path, { headers: { origin: from, 'access-control-request-method': 'POST' } });
    const mine = await preflight('https://shop.example');
    expect(mine.status).toBe(204);
    expect(mine.headers).toMatchObject({
      'access-control-allow-origin': 'https://shop.example',
      'access-control-allow-methods': expect.stringContaining('POST'),
      'access-control-allow-headers': expect.stringMatching(/Authorization.*Content-Type.*If-None-Match/),
    });
    expect((await preflight('https://evil.example')).headers['access-control-allow-origin']).toBeUndefined();
    const elsewhere = await preflight('https://shop.example', '/api/segments');
    expect(elsewhere.headers['access-control-allow-origin']).toBeUndefined();
  });
});
