import { createDatabase, type TestDatabase } from '@kohort/testkit/database.ts';
import { eventually } from '@kohort/testkit/eventually.ts';
import { countUnfolded } from '@kohort/testkit/fold.ts';
import { call, signIn } from '@kohort/testkit/http.ts';
import { ADMIN_PASSWORD, launch, production, type Running } from '@kohort/testkit/service.ts';
import pg from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';

const USERS = 60_000;
const LAST = 'u59999';

let database: TestDatabase;
let client: pg.Client;
let service: Running;
let token: string;

const env = () => production(database.url, { LOG_LEVEL: 'fatal' });

beforeAll(async () => {
  database = await createDatabase();
  client = new pg.Client(database.url);
  await client.connect();
  service = await launch(env());
  token = await signIn(service.url, 'admin', ADMIN_PASSWORD);
  for (const slug of ['A', 'B'])
    await call(service.url, 'POST', '/api/segments', { token, body: JSON.stringify({ slug }) });
  await client.query(`
    INSERT INTO users (external_id) SELECT 'u' || i FROM generate_series(0, ${USERS - 1}) i;
    INSERT INTO user_keys SELECT external_id, id FROM users WHERE external_id IS NOT NULL;`);
});
afterAll(async () => {
  await service.kill('SIGTERM');
  await client.end();
  await database.drop();
});

const csv = (from: number, to: number) =>
  `external_id\n${Array.from({ length: to - from }, (_, i) => `u${from + i}`).join('\n')}\n`;

async function upload(path: string, body: string): Promise<string> {
  const answer = await call(service.url, 'POST', path, { token, body, headers: { 'Content-Type': 'text/csv' } });
  expect(answer.status).toBe(202);
  return JSON.parse(answer.text).job;
}

async function job(id: string) {
  return JSON.parse((await call(service.url, 'GET', `/api/jobs/${id}`, { token })).text);
}

async function scalar(query: string): Promise<unknown> {
  const { rows } = await client.query(query);
  return Object.values(rows[0] ?? {})[0];
}

it('a kill -9 in the middle of a job, before another, and during an upload changes no result', async () => {
  // A transaction that adds the last user of the file: the import has written all others, and waits for it.
  const rival = new pg.Client(database.url);
  await rival.connect();
  await rival.query('BEGIN');
  await rival.query(`
    INSERT INTO memberships (user_id, segment_id, mode, since)
    SELECT k.user_id, s.id, 'include', date_trunc('milliseconds', now()) FROM user_keys k, segments s
    WHERE k.external_id = '${LAST}' AND s.slug = 'A'`);
  const applied = await upload('/api/segments/A/import', csv(0, USERS));
  const waiting = await upload('/api/segments/A/import?mode=remove', csv(0, 1_000));
  await eventually(async () => (await job(applied)).processed > 0);
  expect(await job(applied)).toMatchObject({ state: 'running', rows: USERS });
  expect(await job(waiting)).toMatchObject({ state: 'queued', rows: 1_000 });

  // Not one of them is seen, and single changes of others go on; those it is about wait.
  expect(JSON.parse((await call(service.url, 'GET', '/api/segments/A/count', { token })).text)).toEqual({ count: 0 });
  const other = await call(service.url, 'POST', '/api/users/ext:u5/segments', { token, body: '{"slug":"B"}' });
  expect(other.status).toBe(200);

  // An upload that never ends.
  const half = fetch(`${service.url}/api/segments/B/import`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'text/csv' },
    body: new ReadableStream({
      start: (controller) => controller.enqueue(new TextEncoder().encode(csv(0, USERS))),
    }),
    duplex: 'half',
  } as RequestInit).catch((error) => error);
  await eventually(async () => (await scalar(`SELECT count(*)::int FROM jobs WHERE state = 'receiving'`)) === 1);

  await service.kill('SIGKILL');
  expect(await half).toBeInstanceOf(Error);
  await rival.query('ROLLBACK');
  await rival.end();
  expect(
    await scalar('SELECT count(*)::int FROM memberships m JOIN segments s ON s.id = m.segment_id WHERE s.slug = $$A$$'),
  ).toBe(0);

  service = await launch(env());
  await eventually(async () => (await job(waiting)).state === 'done');
  expect(await job(applied)).toMatchObject({ state: 'done', processed: USERS, added: USERS, updated: 0, unchanged: 0 });
  expect(await job(waiting)).toMatchObject({ state: 'done', removed: 1_000, unchanged: 0 });
  expect(JSON.parse((await call(service.url, 'GET', '/api/segments/A/count', { token })).text)).toEqual({
    count: USERS - 1_000,
  });
  expect(await scalar('SELECT count(*)::int FROM history WHERE job IS NOT NULL')).toBe(USERS + 1_000);

  // Of the upload nothing is left, nor of the files that were applied, nor of what kept others waiting.
  await eventually(async () => (await scalar(`SELECT count(*)::int FROM jobs WHERE state = 'receiving'`)) === 0);
  await eventually(
    async () =>
      (await scalar(`SELECT count(*)::int FROM pg_class WHERE relnamespace = 'import_staging'::regnamespace`)) === 0,
  );
  expect(await scalar('SELECT count(*)::int FROM fences')).toBe(0);
  expect(await countUnfolded(client)).toBe(0);
});
