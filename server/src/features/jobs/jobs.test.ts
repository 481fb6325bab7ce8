import { setTimeout as sleep } from 'node:timers/promises';
import { untilPasses } from '@kohort/testkit/eventually.ts';
import pg from 'pg';
import sql from 'sql-template-tag';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { type Client, clientOf, patiently } from '../../../test/client.ts';
import { type Files, filesOf } from '../../../test/files.ts';
import { expectFold } from '../../../test/fold.ts';
import { untilLocked } from '../../../test/locks.ts';
import { type Service, startService } from '../../../test/service.ts';
import { endNow } from '../../../test/time.ts';
import { sweepExpired } from '../memberships/memberships.ts';

let service: Service;
let client: Client;
let files: Files;
beforeAll(async () => {
  service = await startService();
  client = clientOf(service);
  files = filesOf(service);
  const names = Array.from({ length: 1_000 }, (_, i) => `u${i}`).join('\n');
  await files.run('/api/users/import', `external_id\n${names}\n`);
});
afterAll(async () => {
  await expectFold(service.db);
  await service.stop();
});

const csv = (from: number, to: number) =>
  `external_id\n${Array.from({ length: to - from }, (_, i) => `u${from + i}`).join('\n')}\n`;

/** A transaction that has done this and does not end before its test, which would wait for what waits for it. */
async function rivalThat(statement: string, user: string): Promise<() => Promise<void>> {
  const rival = new pg.Client(service.url);
  await rival.connect();
  let ended: Promise<void> | undefined;
  const end = () => (ended ??= rival.query('ROLLBACK').then(() => rival.end()));
  onTestFinished(end);
  await rival.query('BEGIN');
  await rival.query(statement, [user]);
  return end;
}

/** One that has added a user: an import of that user waits for it in the middle of its own. */
function rivalOf(slug: string, user: string): Promise<() => Promise<void>> {
  return rivalThat(
    `INSERT INTO memberships (user_id, segment_id, mode, since)
     SELECT k.user_id, s.id, 'include', date_trunc('milliseconds', now()) FROM user_keys k, segments s
     WHERE k.external_id = $1 AND s.slug = '${slug}'`,
    user,
  );
}

/** One that registers a user: an import that does so too waits for it, and has read its clock by then. */
function rivalOfKey(externalId: string): Promise<() => Promise<void>> {
  return rivalThat(
    `WITH made AS (INSERT INTO users (external_id) VALUES ($1) RETURNING id, external_id)
     INSERT INTO user_keys (external_id, user_id) SELECT external_id, id FROM made`,
    externalId,
  );
}

async function idsOf(...externalIds: string[]): Promise<number[]> {
  const keys = await service.db.query<{ user_id: number }>(
    sql`SELECT k.user_id FROM user_keys k WHERE k.external_id = ANY(${externalIds}::text[])`,
  );
  return keys.map(({ user_id }) => user_id);
}

/** As if their time had come now: the one override that each has a limit for. */
async function expire(...externalIds: string[]): Promise<void> {
  for (const id of await idsOf(...externalIds)) await endNow(service.db, id);
  // Until their moment is over for the database, too.
  await sleep(5);
  await sweepExpired(service.db);
  // On Citus the sweep leaves segments alone that imports are changing; reads of history do not.
  for (const externalId of externalIds) await client.story(`ext:${externalId}`);
}

/** As many statements wait for a lock. */
async function untilWaiting(count: number): Promise<void> {
  await untilPasses(async () =>
    expect(
      await service.db.query(
        sql`SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
      ),
    ).toHaveLength(count),
  );
}

/** The import's fence stands, and its statement waits for the rival. */
async function isHolding(): Promise<void> {
  await untilPasses(async () => expect(await service.db.query(sql`SELECT FROM fences`)).not.toHaveLength(0));
  await untilLocked(service.db);
}

let number = 0;
async function segment(): Promise<string> {
  const slug = `J${++number}`;
  await client.segment(slug);
  return slug;
}

describe('while an import is being applied', () => {
  it('reads, and single changes of all other pairs, go on; those of its pairs wait for it', async () => {
    const [slug, other] = [await segment(), await segment()];
    const yieldUp = await rivalOf(slug, 'u99');
    const { body } = await files.send(`/api/segments/${slug}/import`, csv(0, 100));
    await isHolding();

    expect(await client.segmentsOf('ext:u1')).not.toContain(slug);
    expect((await client.add('ext:u1', other)).status).toBe(200);
    expect((await client.add('ext:u500', slug)).status).toBe(200);
    expect((await client.call('PATCH', `/api/segments/${slug}`, { description: 'meanwhile' })).status).toBe(200);
    const order: string[] = [];
    const waiting = [
      client.add('ext:u1', slug).then(() => order.push('add')),
      client.remove('ext:u2', slug).then(() => order.push('remove')),
      client.patch('ext:u3', { add: [slug], remove: [other] }).then(() => order.push('patch')),
      client.call('DELETE', '/api/users/ext:u4').then(({ status }) => order.push(`erase ${status}`)),
    ];
    // Later calls, which do not meet the fence, are answered first.
    for (const user of ['u501', 'u502', 'u503']) expect((await client.add(`ext:${user}`, slug)).status).toBe(200);
    expect(order).toEqual([]);

    await yieldUp();
    await Promise.all(waiting);
    expect(order.toSorted()).toEqual(['add', 'erase 204', 'patch', 'remove']);
    expect(await files.ended(body.job)).toMatchObject({ state: 'done', added: 100 });
    expect(await client.story('ext:u1', slug)).toEqual([`add import:${body.job}`]);
    expect(await client.story('ext:u2', slug)).toEqual([`add import:${body.job}`, 'remove include']);
    // The import added a hundred and single calls four; one was removed and one erased.
    expect(await client.get(`/api/segments/${slug}/count`)).toEqual({ count: 102 });
    await client.user({ external_id: 'u4' });
  });

  it('the next one for the segment waits, and others do not', async () => {
    const [slug, other] = [await segment(), await segment()];
    const yieldUp = await rivalOf(slug, 'u99');
    const first = await files.send(`/api/segments/${slug}/import`, csv(0, 100));
    await isHolding();
    const second = await files.send(`/api/segments/${slug}/import?mode=replace`, csv(100, 150));
    expect(await files.run(`/api/segments/${other}/import`, csv(0, 100))).toMatchObject({ state: 'done' });
    expect(await files.job(second.body.job)).toMatchObject({ state: 'queued' });
    await yieldUp();
    expect(await files.ended(second.body.job)).toMatchObject({ state: 'done', added: 50, removed: 100 });
    expect(await files.job(first.body.job)).toMatchObject({ state: 'done', added: 100 });
  });

  it('its segment can be deleted at once; the import fails and has added no one', async () => {
    const slug = await segment();
    const yieldUp = await rivalOf(slug, 'u99');
    const { body } = await files.send(`/api/segments/${slug}/import`, csv(0, 100));
    await isHolding();
    const deleting = client.call('DELETE', `/api/segments/${slug}`);
    await untilPasses(async () => expect(await files.job(body.job)).toMatchObject({ state: 'failed' }));
    await yieldUp();
    expect((await deleting).status).toBe(200);
    expect(await files.ended(body.job)).toMatchObject({
      state: 'failed',
      added: 0,
      errors: [{ line: null, message: 'the segment was deleted' }],
    });
    expect(await client.story('ext:u1', slug)).toEqual([]);
    await client.segment(slug);
    expect(await client.get(`/api/segments/${slug}/count`)).toEqual({ count: 0 });
  });

  it('begins again after a change that began before its fence and is dated after it', async ({ skip }) => {
    skip(service.db.isDistributed, 'on Citus a change is dated before it takes the lock on the row');
    const slug = await segment();
    const ofUser = await rivalThat(
      'SELECT FROM users u JOIN user_keys k ON k.user_id = u.id WHERE k.external_id = $1 FOR NO KEY UPDATE OF u',
      'u1',
    );
    const adding = client.add('ext:u1', slug, { expires_at: '2099-01-01T00:00:00Z' });
    await untilWaiting(1);
    const ofKey = await rivalOfKey('new');
    const { body } = await files.send(`/api/segments/${slug}/import?unknown=create`, `${csv(0, 100)}new\n`);
    await untilWaiting(2);
    await sleep(5);
    await ofUser();
    expect((await adding).status).toBe(200);
    await ofKey();
    expect(await files.ended(body.job)).toMatchObject({ state: 'done', added: 100, updated: 1 });
    expect(await client.story('ext:u1', slug)).toEqual(['add include', `update import:${body.job}`]);
    await expectFold(service.db);
  });

  it('its row about an override that has expired meanwhile is dated with the expiry', async () => {
    const slug = await segment();
    for (const user of ['u1', 'u900']) await client.add(`ext:${user}`, slug, { expires_at: '2099-01-01T00:00:00Z' });
    const ofKey = await rivalOfKey('newer');
    const { body } = await files.send(`/api/segments/${slug}/import?unknown=create`, `${csv(0, 100)}newer\n`);
    await isHolding();
    await expire('u1', 'u900');
    await ofKey();
    expect(await files.ended(body.job)).toMatchObject({ state: 'done', added: 101, updated: 0 });
    expect(await client.story('ext:u900', slug)).toEqual(['add include', 'expire include']);
    expect(await client.story('ext:u1', slug)).toEqual(['add include', 'expire include', `add import:${body.job}`]);
    const [added, expired] = (await client.get(`/api/users/ext:u1/history?segment=${slug}`)).events;
    expect(added.at).toBe(expired.at);
    const [membership] = (await client.get(`/api/users/ext:u1/memberships`)).memberships.filter(
      (one: { slug: string }) => one.slug === slug,
    );
    expect(membership.since).toBe(expired.at);
    expect((await client.get(`/api/users/ext:u1/segments?at=${added.at}`)).segments).toContain(slug);
    await expectFold(service.db);
  });

  it('a row that would end with such an expiry, or before it, is not applied', async () => {
    const slug = await segment();
    await client.add('ext:u1', slug, { expires_at: '2099-01-01T00:00:00Z' });
    const ofKey = await rivalOfKey('newest');
    const file = csv(0, 100)
      .replaceAll('\n', ',2099-01-01T00:00:00Z\n')
      .replace('id,2099-01-01T00:00:00Z', 'id,expires_at');
    const { body } = await files.send(`/api/segments/${slug}/import?unknown=create`, `${file}newest,\n`);
    await isHolding();
    await expire('u1');
    // The file named the moment at which the override has ended.
    const [expired] = (await client.get(`/api/users/ext:u1/history?segment=${slug}`)).events;
    const [id] = await idsOf('u1');
    await service.db.write({
      text: `UPDATE import_staging.plan_${body.job} SET expires_at = $1::timestamptz WHERE user_id = $2::bigint`,
      values: [expired.at, id],
    });
    await ofKey();
    expect(await files.ended(body.job)).toMatchObject({
      state: 'done',
      added: 100,
      updated: 0,
      unchanged: 0,
      lapsed: 1,
    });
    expect(await client.story('ext:u1', slug)).toEqual(['add include', 'expire include']);
    expect(await client.story('ext:u2', slug)).toEqual([`add import:${body.job}`]);
    expect(await client.segmentsOf('ext:u1')).not.toContain(slug);
    await expectFold(service.db);
  });

  it('single adds in any number meet it without a gap', async () => {
    const slug = await segment();
    const users = Array.from({ length: 1_000 }, (_, i) => `u${i}`);
    const adding = Promise.all(
      users.map(async (user, i) => {
        // Spread over the imports, so that some come before, within and after each.
        await sleep((i % 50) * 4);
        const expiry = i % 3 === 0 ? { expires_at: '2099-01-01T00:00:00Z' } : {};
        return patiently(() => client.add(`ext:${user}`, slug, expiry));
      }),
    );
    const jobs = [];
    for (const from of [0, 300, 0]) {
      jobs.push(await files.run(`/api/segments/${slug}/import?mode=${from ? 'remove' : 'add'}`, csv(from, 700)));
    }
    expect((await adding).every(({ status }) => status === 200)).toBe(true);
    expect(jobs.every(({ state }) => state === 'done')).toBe(true);
    await expectFold(service.db);
    expect(await client.get(`/api/segments/${slug}/count`)).toEqual({ count: 1_000 });
  });
});

describe('a job', () => {
  it('can be cancelled while it waits and while it is applied: nothing of it happens', async () => {
    const slug = await segment();
    const yieldUp = await rivalOf(slug, 'u99');
    const running = await files.send(`/api/segments/${slug}/import`, csv(0, 100));
    await isHolding();
    const waiting = await files.send(`/api/segments/${slug}/import`, csv(0, 100));
    for (const { body } of [waiting, running]) {
      const { status, body: job } = await client.call('DELETE', `/api/jobs/${body.job}`);
      expect([status, job.state, job.added]).toEqual([200, 'cancelled', 0]);
      // Once more is no mistake.
      expect((await client.call('DELETE', `/api/jobs/${body.job}`)).status).toBe(200);
    }
    await yieldUp();
    expect((await client.add('ext:u1', slug)).status).toBe(200);
    expect(await client.get(`/api/segments/${slug}/count`)).toEqual({ count: 1 });
    expect(await files.job(running.body.job)).toMatchObject({ state: 'cancelled', added: 0, processed: 0 });
    const done = await files.run(`/api/segments/${slug}/import`, csv(0, 3));
    const late = await client.call('DELETE', `/api/jobs/${done.id}`);
    expect(late).toMatchObject({ status: 409, body: { code: 'job_finished' } });
  });

  it('reports its progress as events until it ends', async () => {
    const slug = await segment();
    const yieldUp = await rivalOf(slug, 'u99');
    const { body } = await files.send(`/api/segments/${slug}/import`, csv(0, 100));
    const following = client.call('GET', `/api/jobs/${body.job}/events`);
    await isHolding();
    await yieldUp();
    const { headers, text } = await following;
    expect(headers['content-type']).toBe('text/event-stream; charset=utf-8');
    const events = text
      .trimEnd()
      .split('\n\n')
      .map((event) => JSON.parse(event.replace(/^data: /, '')));
    expect(events.length).toBeGreaterThan(1);
    expect(events.at(0)).toMatchObject({ id: body.job, added: 0, finished_at: null });
    expect(events.at(-1)).toEqual(await files.job(body.job));
    expect(events.at(-1)).toMatchObject({ state: 'done', added: 100, processed: 100 });
  });

  it('is for viewers to see and for editors to cancel', async () => {
    const viewer = await service.account('jobviewer', 'viewer');
    const member = await service.account('jobmember');
    const { id } = await files.run('/api/users/import', 'external_id\n');
    for (const path of [`/api/jobs/${id}`, `/api/jobs/${id}/events`]) {
      expect((await service.call('GET', path, { token: viewer.token })).status).toBe(200);
      expect((await service.call('GET', path, { token: member.token })).status).toBe(403);
      expect((await service.call('GET', path)).status).toBe(401);
    }
    expect((await service.call('DELETE', `/api/jobs/${id}`, { token: viewer.token })).status).toBe(403);
    for (const unknown of ['987654', '9007199254740992']) {
      const answer = await client.call('GET', `/api/jobs/${unknown}`);
      expect(answer).toMatchObject({ status: 404, body: { code: 'job_unknown' } });
    }
    expect((await client.call('GET', '/api/jobs/01')).status).toBe(400);
    expect((await client.call('GET', '/api/jobs/987654/events')).status).toBe(404);
  });

  it('is given back when the service stops, and done by the next', async () => {
    const slug = await segment();
    const second = await startService({ database: service.url });
    // Both instances may have taken it: whichever stops, it is done once.
    const yieldUp = await rivalOf(slug, 'u99');
    const { body } = await filesOf(second).send(`/api/segments/${slug}/import`, csv(0, 100));
    await isHolding();
    const stopping = second.stop();
    // Whatever the stop has come to by now.
    await sleep(Math.random() * 100);
    await yieldUp();
    await stopping;
    expect(await files.ended(body.job)).toMatchObject({ state: 'done', added: 100, unchanged: 0 });
    expect(await client.story('ext:u1', slug)).toEqual([`add import:${body.job}`]);
  });
});
