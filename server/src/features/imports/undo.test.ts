import sql from 'sql-template-tag';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Client, clientOf } from '../../../test/client.ts';
import { type Files, filesOf } from '../../../test/files.ts';
import { expectFold } from '../../../test/fold.ts';
import { type Service, startService } from '../../../test/service.ts';
import { sweepJobs } from '../jobs/jobs.ts';

let service: Service;
let client: Client;
let files: Files;
beforeAll(async () => {
  service = await startService();
  client = clientOf(service);
  files = filesOf(service);
});
afterAll(async () => {
  await expectFold(service.db);
  await service.stop();
});

const soon = '2099-01-01T00:00:00.000Z';
const later = '2099-06-01T00:00:00.000Z';
const NDJSON = 'application/x-ndjson';

/** Undoes a job, after a dry run that has to tell the same. */
async function undo(job: string) {
  const dry = await files.ended((await client.call('POST', `/api/jobs/${job}/undo?dry_run=true`)).body.job);
  const { status, body } = await client.call('POST', `/api/jobs/${job}/undo`);
  expect(status).toBe(202);
  const done = await files.ended(body.job);
  const { id, created_at, finished_at, dry_run, ...same } = done;
  expect(dry).toMatchObject(same);
  expect(done).toMatchObject({ state: 'done', errors: [] });
  return done;
}

let number = 0;
/** A new segment, and users named after it. */
async function scene(names: string, definition: object = {}): Promise<{ slug: string; users: string[] }> {
  const slug = `U${++number}`;
  await client.segment(slug, definition);
  const users = [...names].map((name) => `${name}${number}`);
  for (const external_id of users) await client.user({ external_id, attributes: { n: number } });
  return { slug, users };
}

/** What can be told of each user's override. */
async function overrides(slug: string, users: readonly string[]): Promise<unknown[]> {
  return Promise.all(
    users.map(async (user) => {
      const { source, expires_at } = await client.why(`ext:${user}`, slug);
      return `${source} ${expires_at}`;
    }),
  );
}

const file = (users: readonly string[]) => `external_id\n${users.join('\n')}\n`;

describe('the undo of an import into a segment', () => {
  it.each(['add', 'remove', 'replace'])('with mode %s gives every user the override they had before', async (mode) => {
    for (const definition of [{}, { condition: { n: number + 1 } }]) {
      const { slug, users } = await scene('abcdefg', definition);
      const [a, b, c, d, e, f] = users as [string, string, string, string, string, string];
      await client.add(`ext:${b}`, slug);
      await client.add(`ext:${c}`, slug, { expires_at: soon });
      await client.put(`ext:${d}`, slug, { mode: 'exclude' });
      await client.put(`ext:${e}`, slug, { mode: 'exclude', expires_at: later });
      await client.add(`ext:${f}`, slug);
      const before = await overrides(slug, users);
      const job = await files.run(`/api/segments/${slug}/import?mode=${mode}`, file([a, b, c, d, e]));
      expect(await overrides(slug, users)).not.toEqual(before);
      const undone = await undo(job.id);
      expect(undone).toMatchObject({ kind: 'segment_import_undo', kept: 0 });
      expect(await overrides(slug, users)).toEqual(before);
      expect((await client.story(`ext:${c}`, slug)).at(-1)).toContain(`import:${undone.id}`);
      await expectFold(service.db);
    }
  });

  it('leaves alone who was changed since, and counts them', async () => {
    const { slug, users } = await scene('abcde');
    const [a, b, c, d, e] = users as [string, string, string, string, string];
    await client.add(`ext:${e}`, slug, { expires_at: soon });
    const job = await files.run(`/api/segments/${slug}/import`, file(users));
    await client.add(`ext:${a}`, slug, { expires_at: soon });
    await client.remove(`ext:${b}`, slug);
    await client.call('DELETE', `/api/users/ext:${c}`);
    const undone = await undo(job.id);
    expect(undone).toMatchObject({ removed: 1, updated: 1, kept: 3 });
    expect(await overrides(slug, [a, b, d, e])).toEqual([
      `include ${soon}`,
      'none null',
      'none null',
      `include ${soon}`,
    ]);
    expect(await client.story(`ext:${d}`, slug)).toEqual([`add import:${job.id}`, `remove import:${undone.id}`]);
    expect(await undo(job.id)).toMatchObject({ added: 0, updated: 0, removed: 0, kept: 5 });
  });

  it('does not give back what would have expired since', async () => {
    const { slug, users } = await scene('ab');
    for (const user of users) await client.add(`ext:${user}`, slug, { expires_at: soon });
    const job = await files.run(`/api/segments/${slug}/import?mode=remove`, file(users));
    // As if the time of the first had been short.
    await service.db.query(sql`
      UPDATE history h SET expires_at = '2001-01-01' FROM users u
      WHERE u.external_id = ${users[0]} AND h.user_id = u.id AND h.op = 'add'`);
    expect(await undo(job.id)).toMatchObject({ added: 1, kept: 0 });
    expect(await overrides(slug, users)).toEqual(['none null', `include ${soon}`]);
  });

  it('keeps users whom it registered', async () => {
    const { slug } = await scene('');
    const job = await files.run(`/api/segments/${slug}/import?unknown=create`, file([`fresh-${slug}`]));
    expect(await undo(job.id)).toMatchObject({ removed: 1 });
    expect(await client.get(`/api/users/ext:fresh-${slug}`)).toMatchObject({ external_id: `fresh-${slug}` });
  });

  it('fails when the segment was deleted', async () => {
    const { slug, users } = await scene('a');
    const job = await files.run(`/api/segments/${slug}/import`, file(users));
    await client.call('DELETE', `/api/segments/${slug}`);
    const { body } = await client.call('POST', `/api/jobs/${job.id}/undo`);
    expect(await files.ended(body.job)).toMatchObject({
      state: 'failed',
      errors: [{ message: 'the segment was deleted' }],
    });
  });

  it('of many users meets single changes without a gap', async () => {
    const { slug } = await scene('');
    const users = Array.from({ length: 500 }, (_, i) => `${slug}-${i}`);
    const job = await files.run(`/api/segments/${slug}/import?unknown=create`, file(users));
    const changing = Promise.all(
      users.filter((_, i) => i % 5 === 0).map((user) => client.add(`ext:${user}`, slug, { expires_at: soon })),
    );
    const { body } = await client.call('POST', `/api/jobs/${job.id}/undo`);
    const undone = await files.ended(body.job);
    expect((await changing).every(({ status }) => status === 200)).toBe(true);
    expect(undone.removed + undone.kept).toBe(500);
    // Whether before the undo or after it, each single change stands.
    expect(await client.get(`/api/segments/${slug}/count`)).toEqual({ count: 100 });
    await expectFold(service.db);
  });
});

async function batchesOf(job: string): Promise<number> {
  const rows = await service.db.query(sql`SELECT FROM import_user_batches b WHERE b.job = ${job}`);
  return rows.length;
}

describe('the undo of an import of users', () => {
  const lines = (...objects: object[]) => objects.map((one) => `${JSON.stringify(one)}\n`).join('');

  it('restores names and attributes, and erases users whom it registered and no one has changed since', async () => {
    const { slug } = await scene('');
    const id = (name: string) => `${name}-${slug}`;
    await client.user({ external_id: id('known'), name: 'Old', attributes: { a: 1, deep: { x: 1 } } });
    await client.user({ external_id: id('bare') });
    await client.user({ external_id: id('same'), attributes: { a: 2 } });
    await client.user({ external_id: id('since'), attributes: { a: 1 } });
    const names = ['known', 'bare', 'same', 'since', 'fresh', 'member', 'renamed'];
    const rows = names.map((name) => ({ external_id: id(name), name: 'New', attributes: { a: 2, deep: { y: 1 } } }));
    const text = lines(
      ...rows.map((row) => (row.external_id === id('same') ? { ...row, name: undefined, attributes: { a: 2 } } : row)),
    );
    const job = await files.run('/api/users/import', text, NDJSON);
    expect(job).toMatchObject({ added: 3, updated: 3, unchanged: 1 });
    await client.call('PATCH', `/api/users/ext:${id('since')}`, { attributes: { b: 1 } });
    await client.add(`ext:${id('member')}`, slug);
    await client.call('PATCH', `/api/users/ext:${id('renamed')}`, { name: 'Newer' });

    expect(await undo(job.id)).toMatchObject({ kind: 'user_import_undo', updated: 2, removed: 1, kept: 3 });
    const user = (name: string) => client.get(`/api/users/ext:${id(name)}`);
    expect(await user('known')).toMatchObject({ name: 'Old', attributes: { a: 1, deep: { x: 1 } } });
    expect(await user('bare')).toMatchObject({ name: null, attributes: {} });
    expect(await user('since')).toMatchObject({ name: 'New', attributes: { a: 2, b: 1, deep: { y: 1 } } });
    expect(await user('member')).toMatchObject({ name: 'New' });
    expect(await user('renamed')).toMatchObject({ name: 'Newer' });
    expect((await client.call('GET', `/api/users/ext:${id('fresh')}`)).status).toBe(404);
    expect(await client.user({ external_id: id('fresh') })).toEqual(expect.any(Number));
    expect(await undo(job.id)).toMatchObject({ updated: 0, removed: 0, kept: 6 });
  });

  it('of very many of them restores each, whichever batch they are in', async () => {
    const { slug } = await scene('');
    const ids = Array.from({ length: 20_000 }, (_, i) => `${slug}-${i}`);
    const before = lines(
      ...ids.filter((_, i) => i % 2).map((external_id) => ({ external_id, name: 'Old', attributes: { n: 1 } })),
    );
    await files.run('/api/users/import', before, NDJSON);
    const after = lines(
      ...ids.map((external_id, i) => ({ external_id, name: `New ${i}`, attributes: { n: 2 + (i % 3) } })),
    );
    const job = await files.run('/api/users/import', after, NDJSON);
    expect(job).toMatchObject({ added: 10_000, updated: 10_000 });
    expect(await batchesOf(job.id)).toBeGreaterThan(2);
    await client.call('PATCH', `/api/users/ext:${ids[1]}`, { name: 'Newer' });
    await client.call('PATCH', `/api/users/ext:${ids[19_998]}`, { name: 'Newer' });
    expect(await undo(job.id)).toMatchObject({ updated: 9_999, removed: 9_999, kept: 2 });
    const left = await service.db.query(sql`
      SELECT u.name, u.attributes, count(*) AS count FROM users u WHERE u.external_id LIKE ${`${slug}-%`} GROUP BY 1, 2 ORDER BY 3, 1, 2`);
    expect(left).toEqual([
      { name: 'Newer', attributes: { n: 2 }, count: 1 },
      { name: 'Newer', attributes: { n: 3 }, count: 1 },
      { name: 'Old', attributes: { n: 1 }, count: 9_999 },
    ]);
  });

  it('works for imports of the releases that stored a row for each user', async () => {
    const { slug, users } = await scene('ab');
    await client.user({ external_id: `plain-${slug}` });
    const rows = [...users, `plain-${slug}`, `fresh-${slug}`].map((external_id) => ({
      external_id,
      name: 'New',
      attributes: { n: 0 },
    }));
    const job = await files.run('/api/users/import', lines(...rows), NDJSON);
    await service.db.query(sql`
      INSERT INTO import_user_changes (job, user_id, version_before, version_after, name_before, name_after)
      SELECT b.job, e.*
      FROM import_user_batches b
        CROSS JOIN LATERAL unnest(b.user_ids, b.versions_before, b.versions_after, b.names_before, b.names_after) AS e
      WHERE b.job = ${job.id}`);
    await service.db.query(sql`DELETE FROM import_user_batches WHERE job = ${job.id}`);
    expect(await undo(job.id)).toMatchObject({ updated: 3, removed: 1, kept: 0 });
    expect(await client.get(`/api/users/ext:${users[0]}`)).toMatchObject({ name: null, attributes: { n: number } });
    expect(await client.get(`/api/users/ext:plain-${slug}`)).toMatchObject({ name: null, attributes: {} });
  });

  it('leaves the past as it was', async () => {
    const { slug, users } = await scene('a', { condition: { n: number + 1 } });
    const job = await files.run('/api/users/import', lines({ external_id: users[0], attributes: { n: null } }), NDJSON);
    expect(await client.segmentsOf(`ext:${users[0]}`)).not.toContain(slug);
    const { finished_at } = job;
    expect(await undo(job.id)).toMatchObject({ updated: 1 });
    expect(await client.segmentsOf(`ext:${users[0]}`)).toContain(slug);
    const past = await client.get(`/api/users/ext:${users[0]}/segments?at=${finished_at}`);
    expect(past.segments).not.toContain(slug);
  });
});

describe('what cannot be undone', () => {
  it('is refused: unknown jobs, dry runs, jobs that failed, undos', async () => {
    const { slug, users } = await scene('a');
    const dry = await files.run(`/api/segments/${slug}/import?dry_run=true`, file(users));
    const failed = await files.run(`/api/segments/${slug}/import`, 'nonsense\n');
    const job = await files.run(`/api/segments/${slug}/import`, file(users));
    const undone = await undo(job.id);
    for (const { id } of [dry, failed, undone]) {
      expect(await client.call('POST', `/api/jobs/${id}/undo`)).toMatchObject({
        status: 409,
        body: { code: 'job_not_undoable' },
      });
    }
    expect(await client.call('POST', '/api/jobs/987654/undo')).toMatchObject({ status: 404 });
    expect(await client.call('POST', `/api/jobs/${job.id}/undo?dry_run=1`)).toMatchObject({ status: 400 });
    const viewer = await service.account(`viewer${number}`, 'viewer');
    expect((await service.call('POST', `/api/jobs/${job.id}/undo`, { token: viewer.token })).status).toBe(403);
  });

  it('a key with tags may only undo imports into segments that carry one of them', async () => {
    const { body } = await client.call('POST', '/api/keys', { name: 'web', role: 'editor', tags: ['web'] });
    const { slug, users } = await scene('a', { tags: ['web'] });
    const seen = await files.run(`/api/segments/${slug}/import`, file(users));
    const other = await scene('a');
    const unseen = await files.run(`/api/segments/${other.slug}/import`, file(other.users));
    const people = await files.run('/api/users/import', file([`tagged-${slug}`]));
    const statuses = [];
    for (const { id } of [seen, unseen, people]) {
      statuses.push((await service.call('POST', `/api/jobs/${id}/undo`, { token: body.key })).status);
    }
    expect(statuses).toEqual([202, 404, 403]);
  });

  it('is done once under an Idempotency-Key', async () => {
    const { slug, users } = await scene('a');
    const { id } = await files.run(`/api/segments/${slug}/import`, file(users));
    const headers = { 'idempotency-key': `undo-${slug}` };
    const call = () => service.call('POST', `/api/jobs/${id}/undo`, { token: service.admin, headers });
    const first = await call();
    expect((await call()).body).toEqual(first.body);
    expect(await files.ended(first.body.job)).toMatchObject({ removed: 1 });
  });

  it('goes with jobs that ended long ago', async () => {
    const { slug, users } = await scene('a');
    const job = await files.run(`/api/segments/${slug}/import`, file(users));
    const people = await files.run('/api/users/import', file([`more-${slug}`]));
    const young = await files.run(`/api/segments/${slug}/import`, file(users));
    expect(await batchesOf(people.id)).toBe(1);
    await service.db.query(sql`
      UPDATE jobs SET finished_at = finished_at - interval '30 days' WHERE id IN (${job.id}, ${people.id})`);
    await sweepJobs(service.db, 30);
    for (const { id } of [job, people]) {
      expect((await client.call('GET', `/api/jobs/${id}`)).status).toBe(404);
      expect((await client.call('POST', `/api/jobs/${id}/undo`)).status).toBe(404);
    }
    expect((await client.call('GET', `/api/jobs/${young.id}`)).status).toBe(200);
    expect(await batchesOf(people.id)).toBe(0);
    // The history still says what did it.
    expect(await client.story(`ext:${users[0]}`, slug)).toEqual([`add import:${job.id}`]);
  });
});
