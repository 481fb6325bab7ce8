import { join } from 'node:path';
import { createDatabase, type TestDatabase } from '@kohort/testkit/database.ts';
import { eventually } from '@kohort/testkit/eventually.ts';
import { demand, signIn } from '@kohort/testkit/http.ts';
import { type Child, startChild } from '@kohort/testkit/processes.ts';
import { ADMIN_PASSWORD, launch, type Running } from '@kohort/testkit/service.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const PROGRAM = join(import.meta.dirname, 'web-provider.program.ts');

let database: TestDatabase;
let service: Running;
let token: string;
let page: Child;
const call = (method: string, path: string, body: object) => demand(service.url, method, path, { token, body });
/** The values of the flags, as the page had them one after another. */
const seen = () =>
  page
    .stdout()
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line));

beforeAll(async () => {
  database = await createDatabase();
  service = await launch({ MODE: 'evaluation', DATABASE_URL: database.url, ADMIN_PASSWORD });
  token = await signIn(service.url, 'admin', ADMIN_PASSWORD);
  await call('POST', '/api/segments', { slug: 'LIST' });
  await call('POST', '/api/segments', { slug: 'RULE', percentage: 0 });
  await call('POST', '/api/segments', { slug: 'TIMED', percentage: 100, active_from: '2999-01-01T00:00:00Z' });
  const { key } = (await call('POST', '/api/keys', { name: 'page', role: 'viewer' })) as { key: string };
  const args = ['--experimental-eventsource', PROGRAM, service.url, key, 'LIST', 'RULE', 'TIMED'];
  page = await startChild({ args, env: { NODE_NO_WARNINGS: '1' } });
});
afterAll(async () => {
  await page?.stop();
  await service?.stop();
  await database?.drop();
});

describe('OpenFeature’s provider for the web, with an EventSource', () => {
  it('learns of a change of the user, of a definition, and of a start', async () => {
    await eventually(() => seen().length === 1);
    expect(seen().at(-1)).toEqual({ LIST: false, RULE: false, TIMED: false });
    await call('POST', '/api/users/ext:ann/segments', { slug: 'LIST' });
    await eventually(() => seen().at(-1).LIST);
    await call('PATCH', '/api/segments/RULE', { percentage: 100 });
    await eventually(() => seen().at(-1).RULE);
    const changes = seen().length;
    await call('PATCH', '/api/segments/TIMED', { active_from: new Date(Date.now() + 1_500).toISOString() });
    await eventually(() => seen().at(-1).TIMED);
    expect(seen().slice(changes)).toContainEqual({ LIST: true, RULE: true, TIMED: true });
    expect(page.stderr()).toBe('');
  });
});
