import { createDatabase, type TestDatabase } from '@kohort/testkit/database.ts';
import { afterAll, beforeAll, describe, expect, expectTypeOf, it } from 'vitest';
import { type Listening, listen } from '../../server/test/listen.ts';
import { ADMIN_PASSWORD } from '../../server/test/service.ts';
import { type Client, createClient, DeadlineExceeded, type Job, KohortError, Unreachable } from './index.ts';

let database: TestDatabase;
let service: Listening;
let url: string;
let client: Client;
beforeAll(async () => {
  database = await createDatabase();
  service = await listen(database.url);
  url = `http://127.0.0.1:${service.port}`;
  const { token } = await createClient({ url }).auth.signIn({ body: { username: 'admin', password: ADMIN_PASSWORD } });
  client = createClient({ url, token });
});
afterAll(async () => {
  await service.stop();
  await database.drop();
});

async function ended(id: string): Promise<Job> {
  let last: Job | undefined;
  for await (const job of client.followJob(id)) last = job;
  if (!last) throw new Error('the job said nothing');
  return last;
}

describe('the client', () => {
  it('has every call, with parts and answers typed by the contract', async () => {
    const { id } = await client.segments.createSegment({ body: { slug: 'S', tags: ['a'] } });
    expectTypeOf(id).toEqualTypeOf<number>();
    const segment = await client.segments.readSegment({ params: { slug: 'S' } });
    expect(segment).toMatchObject({ id, slug: 'S', tags: ['a'] });
    const user = 'ext:4f2a@shop/ä %';
    expect(await client.memberships.addToSegment({ params: { user }, body: { slug: 'S' } })).toEqual({ status: 'ok' });
    expect(await client.memberships.listUserSegments({ params: { user } })).toEqual({ segments: ['S'] });
    expect((await client.segments.listMembers({ params: { slug: 'S' }, query: { limit: 1 } })).users).toHaveLength(1);
    expect((await client.auth.me()).username).toBe('admin');
    expect(await client.users.eraseUser({ params: { user } })).toBeUndefined();
    // @ts-expect-error A part that the endpoint does not have.
    await expect(client.segments.readSegment({})).rejects.toBeInstanceOf(TypeError);
  });

  it('sends files and reads files as streams', async () => {
    async function* file() {
      yield new TextEncoder().encode('external_id\na\n');
      yield new TextEncoder().encode('b\nc\n');
    }
    const { job } = await client.imports.importMembers({
      params: { slug: 'S' },
      query: { unknown: 'create', dry_run: 'false' },
      type: 'text/csv',
      upload: file(),
    });
    expect(await ended(job)).toMatchObject({ id: job, state: 'done', added: 3 });
    const stream = await client.imports.exportMembers({
      params: { slug: 'S' },
      headers: { accept: 'application/x-ndjson' },
    });
    const lines = (await new Response(stream).text()).trimEnd().split('\n');
    expect(lines.map((line) => JSON.parse(line).external_id)).toEqual(['a', 'b', 'c']);
  });

  it('throws what the service says', async () => {
    const error = await client.segments.createSegment({ body: { slug: 'S' } }).catch((one) => one);
    expect(error).toBeInstanceOf(KohortError);
    expect(error).toMatchObject({ code: 'slug_taken', status: 409, message: 'A segment with the slug S exists.' });
    expect(error.request_id).toMatch(/^[0-9a-f-]{36}$/);
    const invalid = await client.segments.createSegment({ body: { slug: '!' } }).catch((one) => one);
    expect(invalid).toMatchObject({ code: 'invalid', errors: [{ path: '/body/slug' }] });
    const stranger = createClient({ url, token: 'nonsense' });
    await expect(stranger.segments.listSegments()).rejects.toMatchObject({ status: 401, code: 'unauthenticated' });
    const nowhere = createClient({ url: 'http://127.0.0.1:9' });
    await expect(nowhere.segments.listSegments()).rejects.toBeInstanceOf(Unreachable);
  });

  it('tries again what failed for a moment, and never what might then happen twice', async () => {
    let answers: (() => Response | Promise<Response>)[] = [];
    const sent: Request[] = [];
    const scripted: typeof fetch = async (...request) => {
      sent.push(new Request(...request));
      const next = answers.shift();
      if (!next) throw new TypeError('fetch failed');
      return next();
    };
    const refuse = (status: number, code: string, after?: string) => () =>
      new Response(JSON.stringify({ code }), {
        status,
        headers: { 'content-type': 'application/problem+json', ...(after !== undefined && { 'retry-after': after }) },
      });
    const lost = () => Promise.reject(new TypeError('fetch failed'));
    const good = () => Response.json({ count: 1, id: 1, status: 'ok' });
    const patient = createClient({ url, fetch: scripted, random: () => 0 });
    const count = () => patient.segments.countMembers({ params: { slug: 'S' } });
    const create = () => patient.segments.createSegment({ body: { slug: 'T' } });
    const add = () => patient.memberships.addToSegment({ params: { user: '1' }, body: { slug: 'T' } });
    const tries = async (call: () => Promise<unknown>, ...script: typeof answers) => {
      [answers, sent.length] = [script, 0];
      const outcome = await call().then(
        () => 'done',
        (error) => error.code ?? error.name,
      );
      return [outcome, sent.length];
    };

    expect(await tries(count, refuse(503, 'overloaded', '0'), lost, good)).toEqual(['done', 3]);
    expect(await tries(create, refuse(503, 'outcome_unknown', '0'), lost, good)).toEqual(['done', 3]);
    expect(new Set(sent.map(({ headers }) => headers.get('idempotency-key'))).size).toBe(1);
    // The service says that it was not done; after a lost answer that is unknown.
    expect(await tries(add, refuse(503, 'overloaded', '0'), good)).toEqual(['done', 2]);
    expect(await tries(add, lost, good)).toEqual(['Unreachable', 1]);
    expect(await tries(add, refuse(503, 'outcome_unknown', '0'), good)).toEqual(['outcome_unknown', 1]);
    expect(await tries(count, refuse(404, 'segment_unknown'), good)).toEqual(['segment_unknown', 1]);
    expect(await tries(count, ...Array.from({ length: 9 }, () => lost))).toEqual(['Unreachable', 4]);
    // A pause that would end after the deadline is not begun; a date is understood.
    expect(await tries(count, refuse(503, 'overloaded', '60'), good)).toEqual(['overloaded', 1]);
    expect(await tries(count, refuse(503, 'overloaded', 'Fri, 31 Dec 2099 23:59:59 GMT'), good)).toEqual([
      'overloaded',
      1,
    ]);
    expect(await tries(count, refuse(503, 'overloaded', 'Thu, 01 Jan 1970 00:00:00 GMT'), good)).toEqual(['done', 2]);
  });

  it('ends in time, and when the caller has heard enough', async () => {
    const silent: typeof fetch = (_, init) =>
      new Promise((_resolve, reject) => init?.signal?.addEventListener('abort', () => reject(init.signal?.reason)));
    const hasty = createClient({ url, fetch: silent, timeoutMs: 20 });
    await expect(hasty.auth.me()).rejects.toBeInstanceOf(DeadlineExceeded);
    await expect(hasty.segmentsOf('2')).rejects.toBeInstanceOf(DeadlineExceeded);
    const calm = createClient({ url, fetch: silent });
    const enough = new AbortController();
    const asked = [
      calm.auth.me({ signal: enough.signal }),
      calm.segmentsOf('2', { signal: enough.signal }),
      calm.resolve(['2'], undefined, { signal: enough.signal }),
    ];
    // All of them have been sent by then, and none ever ends.
    setTimeout(() => enough.abort(new RangeError('enough')), 20);
    await Promise.all(asked.map((one) => expect(one).rejects.toThrow(new RangeError('enough'))));
  });

  it('reads lists page by page', async () => {
    for (const slug of ['P1', 'P2', 'P3']) await client.segments.createSegment({ body: { slug, tags: ['paged'] } });
    const slugs = [];
    for await (const segment of client.segments.listSegments.all({ query: { tag: 'paged', limit: 2 } }))
      slugs.push(segment.slug);
    expect(slugs).toEqual(['P1', 'P2', 'P3']);
    const sizes = [];
    for await (const page of client.segments.listSegments.pages({ query: { tag: 'paged', limit: 2 } }))
      sizes.push(page.segments.length);
    expect(sizes).toEqual([2, 1]);
  });

  it('says what went wrong where an upload is read from', async () => {
    async function* broken() {
      yield new TextEncoder().encode('external_id\n');
      throw new RangeError('the disk is full of holes');
    }
    const sent = client.imports.importMembers({ params: { slug: 'S' }, type: 'text/csv', upload: broken() });
    await expect(sent).rejects.toThrow(new RangeError('the disk is full of holes'));
  });

  it('follows a job over breaks, and gives up after a while without a word', async () => {
    const event = (finished_at: string | null) => `data: ${JSON.stringify({ id: '1', finished_at })}\n\n`;
    const answers: (() => Response)[] = [
      () => new Response('{"code":"unavailable"}', { status: 503 }),
      () => new Response(event(null)),
      () => {
        throw new TypeError('fetch failed');
      },
      () => new Response(event('2026-01-01T00:00:00.000Z')),
    ];
    let [calls, away] = [0, 0];
    const onAway = () => away++;
    const restarting = async () => answers[calls++]?.() ?? Promise.reject(new TypeError('fetch failed'));
    const told = [];
    for await (const job of createClient({ url, fetch: restarting }).followJob('1', { onAway }))
      told.push(job.finished_at);
    expect([told, away, calls]).toEqual([[null, '2026-01-01T00:00:00.000Z'], 2, 4]);

    const rest = createClient({ url, fetch: restarting });
    await expect(rest.followJob('9', { patience: 300 }).next()).rejects.toThrow(
      new Unreachable(`Kohort cannot be reached at ${url} any more. Job 9 may still go on.`),
    );
    const signal = AbortSignal.timeout(50);
    await expect(rest.followJob('9', { signal }).next()).rejects.toMatchObject({ name: 'TimeoutError' });
    // A refusal is no absence.
    await expect(client.followJob('987654').next()).rejects.toMatchObject({ code: 'job_unknown' });
  });
});
