import { untilPasses } from '@kohort/testkit/eventually.ts';
import sql from 'sql-template-tag';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Client, clientOf } from '../../../test/client.ts';
import { type Answer, type Service, startService } from '../../../test/service.ts';
import { readJob } from '../jobs/jobs.ts';
import { countOfMembers } from '../memberships/memberships.ts';
import { createDefinitionCache } from '../segments/definitions.ts';
import { prefersAsync } from './questions.ts';

let service: Service;
let client: Client;
beforeAll(async () => {
  service = await startService();
  client = clientOf(service);
  await client.segment('list');
  await client.segment('rule', { condition: { n: { $gte: 2 } } });
  for (let n = 0; n < 5; n++) {
    const user = await client.user({ attributes: { n } });
    if (n % 2) await client.add(user, 'list');
  }
});
afterAll(() => service.stop());

const later = (method: string, path: string, body?: object) =>
  client.call(method, path, body, { prefer: 'respond-async' });

async function ended(id: string): Promise<Answer['body']> {
  return untilPasses(async () => {
    const job = await client.get(`/api/jobs/${id}`);
    expect(job.finished_at).not.toBeNull();
    return job;
  });
}

/** Samples are of those found first, which on Citus depends on the worker that is first to answer. */
const sorted = (result: Answer['body']) =>
  Object.fromEntries(
    Object.entries<Answer['body']>(result).map(([name, value]) => [
      name,
      name.startsWith('sample') ? value.toSorted((a: { id: number }, b: { id: number }) => a.id - b.id) : value,
    ]),
  );

it.each([
  ['GET', '/api/segments/rule/count'],
  ['GET', '/api/segments/list/users?limit=1'],
  ['POST', '/api/segments/preview', { percentage: 50, condition: { n: { $lt: 4 } } }],
  ['POST', '/api/segments/rule/preview', { condition: { n: 3, m: 1 } }],
  ['POST', '/api/segments/overlap', { segments: ['list', 'rule'] }],
] as [string, string, object?][])('%s %s is answered by a job as it is at once', async (method, path, body) => {
  const { status, headers, body: accepted } = await later(method, path, body);
  expect([status, headers['preference-applied']]).toEqual([202, 'respond-async']);
  const job = await ended(accepted.job);
  expect(job).toMatchObject({ kind: 'question', state: 'done', errors: [] });
  // It may be megabytes, and is passed on unread.
  const { result } = await readJob(service.db, Number(accepted.job));
  expect(JSON.parse(String(result))).toEqual(job.result);
  expect(sorted(job.result)).toEqual(sorted((await client.call(method, path, body)).body));
});

it('reports how far it is, by the ids of users', async () => {
  const [{ last } = { last: 0 }] = await service.db.query<{ last: number }>(sql`SELECT max(u.id) AS last FROM users u`);
  const { body: accepted } = await later('GET', '/api/segments/rule/count');
  const { rows, processed } = await ended(accepted.job);
  expect([rows, processed]).toEqual([last, last]);
});

it.each([
  ['GET', '/api/segments/no-such/count', undefined, 404],
  ['POST', '/api/segments/preview', { condition: { $nope: 1 } }, 400],
  ['POST', '/api/segments/preview', { percentage: 101 }, 400],
  ['POST', '/api/segments/no-such/preview', {}, 404],
  ['POST', '/api/segments/overlap', { segments: ['list', 'list'] }, 400],
  ['POST', '/api/segments/overlap', { segments: ['list', 'no-such'] }, 404],
] as [string, string, object | undefined, number][])(
  '%s %s %j is refused before there is a job',
  async (method, path, body, status) => {
    expect((await later(method, path, body)).status).toBe(status);
  },
);

it('fails with the reason when what it is about has gone by then', async () => {
  const [job] = await service.db.write<{ id: number }>(sql`
    INSERT INTO jobs (kind, state, options, actor)
    VALUES ('question', 'queued', '{"endpoint": "countMembers", "asked": {"params": {"slug": "gone"}}}', 'user:1') RETURNING id`);
  expect(await ended(String(job?.id))).toMatchObject({
    state: 'failed',
    errors: [{ line: null, message: 'There is no segment gone.' }],
  });
});

it('one caller has so many open at a time', async () => {
  await service.db.write(sql`
    INSERT INTO jobs (kind, state, options, actor, run_at)
    SELECT 'question', 'queued', '{}', 'user:1', now() + interval '1 hour' FROM generate_series(1, 20)`);
  const { status, body } = await later('GET', '/api/segments/list/count');
  expect([status, body.code]).toEqual([503, 'overloaded']);
  expect((await client.call('GET', '/api/segments/list/count')).status).toBe(200);
  await service.db.write(sql`DELETE FROM jobs WHERE run_at > now() + interval '30 minutes'`);
});

it('what it asks is not read with its job, which followers do all the time', async () => {
  const condition = { text: { $in: Array.from({ length: 900 }, (_, i) => `${i}`.padEnd(1_000, 'x')) } };
  const { body: accepted } = await later('POST', '/api/segments/preview', { condition });
  expect(JSON.stringify(await readJob(service.db, Number(accepted.job))).length).toBeLessThan(2_000);
  await ended(accepted.job);
});

it.each(['', 'respond-async, '])('an empty element of Prefer is ignored, as in %j', async (prefer) => {
  const { status } = await client.call('GET', '/api/segments/list/count', undefined, { prefer });
  expect(status).toBe(prefer === '' ? 200 : 202);
});

it('what takes longer than a caller waits is 503, which names the header', async () => {
  await service.db.write(sql`INSERT INTO users (attributes) SELECT '{"n": 9}' FROM generate_series(1, 100000)`);
  const context = { db: service.db, definitions: createDefinitionCache(service.db), timeoutMs: 1 };
  await expect(countOfMembers(context, 'rule')).rejects.toMatchObject({
    code: 'overloaded',
    message: expect.stringContaining('Prefer: respond-async'),
    errors: [{ path: '/headers/prefer', message: expect.stringContaining('respond-async') }],
  });
});

it.each([
  ['respond-async', true],
  ['Respond-Async, wait=10', true],
  ['return=minimal, respond-async; foo=1', true],
  ['respond-asynchronously', false],
  ['return=minimal', false],
  [undefined, false],
])('Prefer: %s is asking for a job: %s', (header, expected) => {
  expect(prefersAsync(header)).toBe(expected);
});
