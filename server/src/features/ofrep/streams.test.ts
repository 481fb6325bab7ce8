import { createDatabase } from '@kohort/testkit/database.ts';
import { OFREPProvider } from '@openfeature/ofrep-provider';
import { OFREPWebProvider } from '@openfeature/ofrep-web-provider';
import { OpenFeature } from '@openfeature/server-sdk';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { plainList } from '../../../test/definitions.ts';
import { openEvents } from '../../../test/event-stream.ts';
import { type Listening, listen } from '../../../test/listen.ts';
import { ADMIN_PASSWORD } from '../../../test/service.ts';
import { compileDefinition } from '../../segmentation/definition.ts';
import { definitionsOf } from '../../segmentation/definitions.ts';
import type { StreamLink } from './links.ts';
import { FlagStreams } from './streams.ts';

let database: Awaited<ReturnType<typeof createDatabase>>;
let service: Listening;
let base: string;
let admin: string;
let key: { id: number; key: string };

async function call(method: string, path: string, body?: unknown, token = admin) {
  const response = await fetch(`${base}${path}`, {
    method,
    headers: { authorization: `Bearer ${token}`, ...(body !== undefined && { 'content-type': 'application/json' }) },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  return { status: response.status, body: text === '' ? undefined : JSON.parse(text) };
}

beforeAll(async () => {
  database = await createDatabase();
  service = await listen(database.url, { mode: 'production' });
  base = `http://127.0.0.1:${service.port}`;
  const signedIn = await fetch(`${base}/auth/sign-in`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ username: 'admin', password: ADMIN_PASSWORD }),
  });
  const { token } = (await signedIn.json()) as { token: string };
  admin = token;
  key = (await call('POST', '/api/keys', { name: 'shop', role: 'viewer' })).body;
  await call('POST', '/api/segments', { slug: 'LIST' });
  await call('POST', '/api/segments', { slug: 'DUTCH', condition: { country: 'NL' } });
  await call('POST', '/api/users/ext:ann/segments', { slug: 'LIST' });
});
afterAll(async () => {
  await OpenFeature.close();
  await service.stop();
  await database.drop();
});

const follow = (path: string, headers?: Record<string, string>) => openEvents(`${base}${path}`, headers);

async function streamFor(targetingKey: string, token = key.key): Promise<string> {
  const { body } = await call('POST', '/ofrep/v1/evaluate/flags', { context: { targetingKey } }, token);
  return body.eventStreams[0].endpoint.requestUri;
}

const REFETCH = /^id: [\w-]+\ndata: \{"type":"refetchEvaluation"\}$/;

describe('the stream of a user', () => {
  it('says when to evaluate again: for a change of that user, and of definitions', async () => {
    const stream = await follow(await streamFor('ann'));
    expect(stream.response.headers.get('content-type')).toContain('text/event-stream');
    expect(await stream.next()).toMatch(/^id: [\w-]+$/);
    await call('DELETE', '/api/users/ext:ann/segments/LIST');
    expect(await stream.next()).toMatch(REFETCH);
    await call('PATCH', '/api/users/ext:ann', { attributes: { country: 'NL' } });
    expect(await stream.next()).toMatch(REFETCH);
    await call('PATCH', '/api/segments/DUTCH', { percentage: 100 });
    expect(await stream.next()).toMatch(REFETCH);
    stream.leave();
  });

  it('reports what happened meanwhile to a client that reconnects', async () => {
    const path = await streamFor('ann');
    const before = await follow(path);
    const [, id = ''] = /^id: (.+)$/.exec((await before.next()) ?? '') ?? [];
    before.leave();
    const unchanged = await follow(path, { 'last-event-id': id });
    expect(await unchanged.next()).toBe(`id: ${id}`);
    unchanged.leave();
    await call('POST', '/api/users/ext:ann/segments', { slug: 'LIST' });
    const after = await follow(path, { 'last-event-id': id });
    expect(await after.next()).toMatch(REFETCH);
    after.leave();
  });

  it('ends when its key is revoked, and is unknown from then on', async () => {
    const { body } = await call('POST', '/api/keys', { name: 'short', role: 'viewer' });
    const path = await streamFor('ann', body.key);
    const stream = await follow(path);
    await stream.next();
    await call('DELETE', `/api/keys/${body.id}`);
    expect(await stream.next()).toBeUndefined();
    expect((await follow(path)).response.status).toBe(404);
  });

  it('says so too when the user enters by time alone', async () => {
    const definition = compileDefinition({ ...plainList, active_from: new Date() });
    let now = definition.activeFrom - 1;
    const stateOf = async () => ({ user: undefined, definitions: definitionsOf(1, [definition]), now });
    const streams = new FlagStreams({ db: service.db, stateOf, onError: () => undefined, pollEveryMs: 1 });
    const leave = new AbortController();
    const events = await streams.follow({ targetingKey: 'ann', keyId: key.id, sessionId: undefined }, leave.signal);
    expect((await events.next()).value).toMatch(/^id: [\w-]+\n\n$/);
    now += 1;
    expect((await events.next()).value).toMatch(/"refetchEvaluation"/);
    leave.abort();
    streams.close();
  });

  it('ends with its first event when the service is stopping already', async () => {
    const stateOf = async () => ({ user: undefined, definitions: definitionsOf(1, []), now: 0 });
    const streams = new FlagStreams({ db: service.db, stateOf, onError: () => undefined });
    streams.close();
    const link: StreamLink = { targetingKey: 'ann', keyId: key.id, sessionId: undefined };
    const events = await streams.follow(link, new AbortController().signal);
    expect(await Array.fromAsync(events)).toEqual([expect.stringMatching(/^id: [\w-]+\n\n$/)]);
  });

  it('is refused when too many follow, and room is kept for other credentials', async () => {
    const stateOf = async () => ({ user: undefined, definitions: definitionsOf(1, []), now: 0 });
    const streams = new FlagStreams({ db: service.db, stateOf, onError: () => undefined, maxFollowers: 10 });
    const link = { targetingKey: 'ann', keyId: key.id, sessionId: undefined };
    const other = (await call('POST', '/api/keys', { name: 'other', role: 'viewer' })).body;
    const leave = new AbortController();
    const follow = (one: StreamLink) => streams.follow(one, leave.signal);
    const asked = await Promise.allSettled(Array.from({ length: 10 }, () => follow(link)));
    const refused = asked.filter(({ status }) => status === 'rejected');
    expect(refused.length).toBeGreaterThan(0);
    await expect(follow({ ...link, keyId: other.id })).resolves.toBeDefined();
    leave.abort();
    await expect(streams.follow(link, new AbortController().signal)).resolves.toBeDefined();
    streams.close();
  });

  it('is not to be had by an address that we did not sign', async () => {
    const path = await streamFor('ann');
    for (const wrong of [`${path}AA`, path.replace(/.$/, (last) => (last === 'A' ? 'B' : 'A')), '/ofrep/v1/events/x']) {
      expect((await follow(wrong)).response.status).toBe(404);
    }
  });
});

describe('OpenFeature’s own providers', () => {
  it('for servers evaluate, and tell errors apart', async () => {
    const provider = new OFREPProvider({ baseUrl: base, headers: [['Authorization', `Bearer ${key.key}`]] });
    await OpenFeature.setProviderAndWait(provider);
    const client = OpenFeature.getClient();
    const details = await client.getBooleanDetails('LIST', false, { targetingKey: 'ann' });
    expect(details).toMatchObject({ value: true, variant: 'member', reason: 'STATIC' });
    expect(await client.getBooleanValue('DUTCH', false, { targetingKey: 'new', country: 'NL' })).toBe(true);
    const unknown = await client.getBooleanDetails('NOWHERE', true, { targetingKey: 'ann' });
    expect(unknown).toMatchObject({ value: true, errorCode: 'FLAG_NOT_FOUND' });
    const keyless = await client.getBooleanDetails('LIST', false, {});
    expect(keyless).toMatchObject({ value: false, errorCode: 'TARGETING_KEY_MISSING' });
  });

  it('for the web evaluate all at once, and again by the ETag', async () => {
    const provider = new OFREPWebProvider({
      baseUrl: base,
      pollInterval: 0,
      fetchImplementation: (input: string | URL | Request) => {
        const request = new Request(input);
        request.headers.set('authorization', `Bearer ${key.key}`);
        return fetch(request);
      },
    });
    await provider.initialize({ targetingKey: 'ann' });
    expect(provider.resolveBooleanEvaluation('LIST', false, { targetingKey: 'ann' })).toMatchObject({
      value: true,
    });
    await provider.onContextChange({ targetingKey: 'ann' }, { targetingKey: 'bob' });
    expect(provider.resolveBooleanEvaluation('LIST', true, { targetingKey: 'bob' })).toMatchObject({
      value: false,
    });
    await provider.onClose?.();
  });
});
