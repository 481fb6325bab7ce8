import { randomUUID } from 'node:crypto';
import sql from 'sql-template-tag';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Client, clientOf } from '../../../test/client.ts';
import { type Files, filesOf } from '../../../test/files.ts';
import { type Answer, type Service, startService } from '../../../test/service.ts';
import { fail, insertReceiving } from '../../jobs/queue.ts';
import { pageBytes } from '../../paging/cursors.ts';

let service: Service;
let client: Client;
let files: Files;
/** In the order in which they began. */
const ids: string[] = [];
beforeAll(async () => {
  service = await startService({ mode: 'production' });
  client = clientOf(service);
  files = filesOf(service);
  await client.segment('WEB', { tags: ['web'] });
  await client.segment('MAIL', { tags: ['mail'] });
  for (const [path, text] of [
    ['/api/users/import', 'external_id\nann\nbob\n'],
    ['/api/segments/WEB/import', 'external_id\nann\n'],
    ['/api/segments/WEB/import?dry_run=true', 'external_id\nbob\n'],
    ['/api/segments/MAIL/import', 'external_id\nnobody\n'],
  ] as const) {
    ids.push((await files.run(path, text)).id);
  }
});
afterAll(() => service.stop());

const jobs = (query = '', limit = 100): Promise<Answer['body'][]> => client.all(`/api/jobs?${query}`, 'jobs', limit);
const placesOf = (found: Answer['body'][]) => found.map(({ id }) => ids.indexOf(id));

it('are listed newest first, each as it says of itself but for its errors and its result', async () => {
  const found = await jobs();
  expect(placesOf(found)).toEqual([3, 2, 1, 0]);
  for (const { error, ...entry } of found) {
    const { errors, ...job } = await files.job(entry.id);
    expect(entry).toEqual(job);
    expect(error).toBe(job.state === 'failed' ? errors[0].message : null);
  }
  expect(found.map(({ segment, dry_run, state, actor }) => [segment, dry_run, state, actor])).toEqual([
    ['MAIL', false, 'failed', 'user:1'],
    ['WEB', true, 'done', 'user:1'],
    ['WEB', false, 'done', 'user:1'],
    [null, false, 'done', 'user:1'],
  ]);
  expect(found[0]?.error).toMatch(/nobody|user/);
});

it('are filtered by state, kind and segment, the same page by page', async () => {
  for (const limit of [1, 3, 100]) {
    expect(placesOf(await jobs('', limit))).toEqual([3, 2, 1, 0]);
    expect(placesOf(await jobs('state=done', limit))).toEqual([2, 1, 0]);
    expect(placesOf(await jobs('state=failed&kind=', limit))).toEqual([3]);
    expect(placesOf(await jobs('kind=segment_import', limit))).toEqual([3, 2, 1]);
    expect(placesOf(await jobs('kind=segment_import&state=done', limit))).toEqual([2, 1]);
    expect(placesOf(await jobs('segment=WEB', limit))).toEqual([2, 1]);
    expect(placesOf(await jobs('kind=of_a_later_version', limit))).toEqual([]);
  }
});

it.each(['state=ready', 'kind=DROP', 'segment=no%20slug', 'limit=0', 'cursor=x', 'actor=user:1'])(
  'refuse ?%s',
  async (query) => {
    expect((await client.call('GET', `/api/jobs?${query}`)).status).toBe(400);
  },
);

it('are those of all callers to a viewer, and none of ours', async () => {
  const internal = sql`INSERT INTO jobs (kind, state, internal, options, actor) VALUES ('x', 'queued', true, '{}', 'system')`;
  await service.db.write(internal);
  const { token } = await service.account('list.viewer', 'viewer');
  const { body } = await service.call('GET', '/api/jobs', { token });
  expect(placesOf(body.jobs)).toEqual([3, 2, 1, 0]);
  const { token: member } = await service.account('list.member', 'member');
  expect((await service.call('GET', '/api/jobs', { token: member })).status).toBe(403);
  await service.db.write(sql`DELETE FROM jobs WHERE internal AND kind = 'x'`);
});

it('are to a key with tags those of its segments, and what it began itself', async () => {
  const create = async (body: object): Promise<string> => (await client.call('POST', '/api/keys', body)).body.key;
  const web = await create({ name: 'web', role: 'editor', tags: ['web'] });
  const other = await create({ name: 'other', role: 'viewer', tags: ['other'] });
  const seenBy = async (token: string) => placesOf((await service.call('GET', '/api/jobs', { token })).body.jobs);
  expect(await seenBy(web)).toEqual([2, 1]);
  expect(await seenBy(other)).toEqual([]);
  const question = await service.call('GET', '/api/segments/WEB/count', {
    token: web,
    headers: { prefer: 'respond-async' },
  });
  ids.push((await files.ended(question.body.job)).id);
  expect(await seenBy(web)).toEqual([4, 2, 1]);
  expect(await seenBy(other)).toEqual([]);
  const [entry] = (await service.call('GET', '/api/jobs?kind=question', { token: web })).body.jobs;
  expect(entry).not.toHaveProperty('result');
});

it('quote little of a file, however long its names and lines are', async () => {
  const column = '😀'.repeat(200_000);
  const job = await files.run('/api/users/import', `external_id,x${column}:number\n${'a,none\n'.repeat(100)}`);
  expect(job).toMatchObject({ state: 'failed', errors: { length: 100 } });
  expect(job.errors[0].message).toBe(`x${'😀'.repeat(29)}�… "none" is not a number as JSON writes it, such as -1.5`);
  expect(JSON.stringify(job).length).toBeLessThan(32 * 1024);
});

it('fit a page, a thousand of the largest', async () => {
  const most = Number.MAX_SAFE_INTEGER;
  const slug = 'S'.repeat(255);
  const job = {
    kind: 'segment_import',
    lane: 'largest',
    segmentId: await client.segment(slug),
    options: { dry_run: true },
    actor: `user:${most}`,
  };
  const owner = randomUUID();
  const id = await insertReceiving(service.db, owner, job);
  // JSON takes six bytes for each of these.
  await fail(service.db, id, owner, [{ line: most, message: '\u0001'.repeat(1_000_000) }], most);
  await service.db.write(sql`
    INSERT INTO jobs (kind, state, segment_id, options, actor, rows, processed, added, updated, removed, unchanged, skipped,
      lapsed, kept, errors, finished_at)
    SELECT j.kind, j.state, j.segment_id, j.options, j.actor, ${most}, ${most}, ${most}, ${most}, ${most}, ${most}, ${most},
      ${most}, ${most}, j.errors, j.finished_at
    FROM jobs j, generate_series(1, 1000) WHERE j.id = ${id}`);
  const { body, text } = await client.call('GET', `/api/jobs?segment=${slug}&limit=1000`);
  expect(body.jobs).toHaveLength(1_000);
  expect(body.jobs[0].error).toBe(`${'\u0001'.repeat(499)}…`);
  expect(Buffer.byteLength(text)).toBeLessThan(pageBytes);
  expect(Buffer.byteLength(text)).toBeGreaterThan(pageBytes / 2);
});
