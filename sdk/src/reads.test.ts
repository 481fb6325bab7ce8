import { createDatabase, type TestDatabase } from '@kohort/testkit/database.ts';
import { context, propagation, trace } from '@opentelemetry/api';
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Listening, listen } from '../../server/test/listen.ts';
import { ADMIN_PASSWORD } from '../../server/test/service.ts';
import { cached } from './cache.ts';
import { type Client, type ClientOptions, createClient, KohortError, Unreachable } from './index.ts';

let database: TestDatabase;
let service: Listening;
let url: string;
let token: string;
let ann: string;
beforeAll(async () => {
  database = await createDatabase();
  service = await listen(database.url);
  url = `http://127.0.0.1:${service.port}`;
  const open = createClient({ url });
  ({ token } = await open.auth.signIn({ body: { username: 'admin', password: ADMIN_PASSWORD } }));
  await open.auth.signUp({ body: { name: 'Ann', username: 'ann', password: 'qwerty' } });
  ({ token: ann } = await open.auth.signIn({ body: { username: 'ann', password: 'qwerty' } }));
  const admin = createClient({ url, token });
  for (const slug of ['B', 'A']) await admin.segments.createSegment({ body: { slug } });
  const add = (user: string, slug: string) => admin.memberships.addToSegment({ params: { user }, body: { slug } });
  for (const [user, slug] of [
    ['ext:ann', 'A'],
    ['ext:ann', 'B'],
    ['ext:ben', 'B'],
    ['2', 'A'],
  ] as const)
    await add(user, slug);
});
afterAll(async () => {
  await service.stop();
  await database.drop();
});

/** A client, and what it has sent. */
function watched(options: Partial<ClientOptions> = {}): { client: Client; sent: string[] } {
  const sent: string[] = [];
  const send: typeof fetch = (input, init) => {
    sent.push(`${init?.method} ${new URL(String(input)).pathname}`);
    return fetch(input, init);
  };
  return { client: createClient({ url, token, fetch: send, ...options }), sent };
}

const outcome = (read: Promise<unknown>) =>
  read.catch((error) => (error instanceof KohortError ? [error.status, error.code, error.message] : error));

describe('the reads of an application', () => {
  it('answer sorted segments, and a plain yes or no', async () => {
    const { client } = watched();
    expect(await client.segmentsOf('ext:ann')).toEqual(['A', 'B']);
    expect(await client.isIn('ext:ann', 'A')).toBe(true);
    expect(await client.isIn('ext:ben', 'A')).toBe(false);
    expect(await client.isIn('ext:ben', 'NO_SUCH_SEGMENT')).toBe(false);
    await expect(client.segmentsOf('ext:nobody')).rejects.toMatchObject({ status: 404, code: 'user_unknown' });
    expect(await client.resolve(['ext:ben', 'ext:nobody', 'ext:ann'], ['B'])).toEqual([
      { user: 'ext:ben', segments: ['B'] },
      { user: 'ext:nobody', segments: null },
      { user: 'ext:ann', segments: ['B'] },
    ]);
  });

  it('become one call when they come together, with the answers and refusals of single ones', async () => {
    const users = ['ext:ann', 'ext:ben', 'ext:nobody', '2', 'ext:ann', '999999'];
    const alone = watched();
    const singles = [];
    for (const user of users) singles.push(await outcome(alone.client.segmentsOf(user)));
    expect(new Set(alone.sent).size).toBe(5);

    const { client, sent } = watched();
    // Not all at once: some come a few promises later, in the same turn of the event loop.
    const later = async (user: string) => {
      await null;
      await null;
      return client.segmentsOf(user);
    };
    const together = users.map((user, i) => outcome(i % 2 === 0 ? client.segmentsOf(user) : later(user)));
    expect(await Promise.all(together)).toEqual(singles);
    expect(sent).toEqual(['POST /api/resolve']);
    const answers = users.slice(0, 2).map((user) => client.isIn(user, 'A'));
    expect(await Promise.all(answers)).toEqual([true, false]);
    expect(sent).toHaveLength(2);
  });

  it('name at most a thousand users in one call', async () => {
    const { client, sent } = watched();
    const many = Array.from({ length: 1_001 }, (_, i) => `ext:stranger-${i}`);
    const found = await Promise.all(many.map((user) => outcome(client.segmentsOf(user))));
    expect(new Set(found.map(String))).toEqual(new Set(['404,user_unknown,There is no such user.']));
    expect(sent.toSorted()).toEqual([expect.stringMatching(/^GET /), 'POST /api/resolve']);
    expect(await client.resolve(many)).toHaveLength(1_001);
  });

  it('do not fail for what another one has asked', async () => {
    const { client } = watched();
    const [bad, good] = await Promise.all([outcome(client.segmentsOf('nonsense')), client.segmentsOf('ext:ben')]);
    expect(bad).toEqual([400, 'invalid', expect.stringContaining('/path/user')]);
    expect(good).toEqual(['B']);
  });

  it('go one by one where the token may not ask for many', async () => {
    const { client, sent } = watched({ token: ann });
    const [own, others] = await Promise.all([outcome(client.segmentsOf('2')), outcome(client.segmentsOf('999999'))]);
    expect(own).toEqual(['A']);
    expect(others).toEqual(await outcome(watched({ token: ann }).client.segmentsOf('999999')));
    await Promise.all([client.segmentsOf('2'), client.segmentsOf('2')]);
    expect(sent.filter((one) => one === 'POST /api/resolve')).toHaveLength(1);
  });

  it('end early when they are aborted, without affecting others', async () => {
    const { client } = watched();
    const signal = AbortSignal.abort(new RangeError('enough'));
    const [left, stayed] = await Promise.all([
      outcome(client.segmentsOf('ext:ann', { signal })),
      client.segmentsOf('ext:ben'),
    ]);
    expect([left, stayed]).toEqual([new RangeError('enough'), ['B']]);
  });

  it('share a connection', async () => {
    let connections = 0;
    service.service.app.server.on('connection', () => connections++);
    const { client } = watched();
    for (let i = 0; i < 20; i++) await client.segmentsOf('ext:ann');
    expect(connections).toBeLessThanOrEqual(1);
  });
});

describe('the cache', () => {
  it('is off unless asked for', async () => {
    const { client, sent } = watched();
    await client.segmentsOf('ext:ann');
    await client.segmentsOf('ext:ann');
    expect(sent).toHaveLength(2);
    const keeping = watched({ cache: { maxAgeMs: 60_000 } });
    await keeping.client.segmentsOf('ext:ann');
    (await keeping.client.segmentsOf('ext:ann')).push('changed by the caller');
    expect(await keeping.client.isIn('ext:ann', 'B')).toBe(true);
    expect(await keeping.client.segmentsOf('ext:ann')).toEqual(['A', 'B']);
    expect(keeping.sent).toHaveLength(1);
  });

  it('is bounded, has an age, and helps out while the service is away', async () => {
    let [now, reads] = [0, 0];
    let failure: Error | undefined;
    const read = cached(
      async (user) => {
        reads++;
        if (failure) throw failure;
        return [user];
      },
      { maxAgeMs: 100, maxUsers: 2, staleIfErrorMs: 1_000 },
      () => now,
    );
    const ask = async (user: string) => [await outcome(read(user)), reads];
    expect(await ask('a')).toEqual([['a'], 1]);
    now = 99;
    expect(await ask('a')).toEqual([['a'], 1]);
    now = 100;
    expect(await ask('a')).toEqual([['a'], 2]);
    expect(await ask('b')).toEqual([['b'], 3]);
    expect(await ask('c')).toEqual([['c'], 4]);
    expect(await ask('a')).toEqual([['a'], 5]);

    failure = new Unreachable('away');
    now = 1_199;
    expect(await ask('a')).toEqual([['a'], 6]);
    now = 1_200;
    expect(await ask('a')).toEqual([failure, 7]);
    // A refusal is an answer, not a failure.
    failure = new KohortError('gone', {
      code: 'user_unknown',
      status: 404,
      errors: [],
      request_id: undefined,
      retryAfter: undefined,
    });
    now = 250;
    expect(await ask('c')).toEqual([[404, 'user_unknown', 'gone'], 8]);
  });
});

describe('tracing', () => {
  it('shows each call as a span, and passes it to the service', async () => {
    const exporter = new InMemorySpanExporter();
    trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }));
    propagation.setGlobalPropagator({
      inject: (own, carrier, setter) =>
        setter.set(carrier, 'traceparent', trace.getSpan(own)?.spanContext().traceId ?? ''),
      extract: () => context.active(),
      fields: () => ['traceparent'],
    });
    const told: (string | null)[] = [];
    const send: typeof fetch = (input, init) => {
      told.push(new Headers(init?.headers).get('traceparent'));
      return fetch(input, init);
    };
    const { client } = watched({ fetch: send });
    await client.segmentsOf('ext:ann');
    await outcome(client.segments.readSegment({ params: { slug: 'NONE' } }));
    const spans = exporter.getFinishedSpans();
    expect(
      spans.map(({ name, attributes, status }) => [name, attributes['http.response.status_code'], status.code]),
    ).toEqual([
      ['kohort listUserSegments', 200, 0],
      ['kohort readSegment', 404, 2],
    ]);
    expect(told).toEqual(spans.map((span) => span.spanContext().traceId));
    trace.disable();
    propagation.disable();
  });
});
