import { eventually } from '@kohort/testkit/eventually.ts';
import pg from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Service, startService } from '../../test/service.ts';
import { advisoryLocks } from './advisory-locks.ts';

let service: Service;
let distributing: pg.Client;

beforeAll(async () => {
  service = await startService();
  distributing = new pg.Client(service.url);
  await distributing.connect();
  await service.call('POST', '/api/segments', { token: service.admin, body: { slug: 'VIP' } });
  await service.call('POST', '/api/users/ext:a/segments', { token: service.admin, body: { slug: 'VIP' } });
});
afterAll(async () => {
  await distributing.end();
  await service.stop();
});

const writes: readonly (readonly [string, string, unknown])[] = [
  ['POST', '/api/users/ext:a/segments', { slug: 'VIP' }],
  ['DELETE', '/api/users/ext:a/segments/VIP', undefined],
  ['POST', '/api/users/ext:b/segments', { slug: 'VIP' }],
  ['PATCH', '/api/users/ext:a', { name: 'A' }],
  ['POST', '/api/segments', { slug: 'OTHER' }],
  ['PATCH', '/api/segments/VIP', { percentage: 5 }],
  ['DELETE', '/api/segments/VIP', undefined],
  ['POST', '/auth/sign-in', { username: 'admin', password: 'wrong' }],
];
const reads: readonly (readonly [string, string, unknown])[] = [
  ['GET', '/api/users/ext:a/segments', undefined],
  ['GET', '/api/users/ext:a/segments/VIP', undefined],
  ['GET', '/api/users/ext:a/segments?at=2026-01-01T00:00:00Z', undefined],
  ['POST', '/api/resolve', { users: ['ext:a'] }],
  ['GET', '/api/segments/VIP/users', undefined],
  ['GET', '/api/segments/VIP/count', undefined],
  ['POST', '/api/segments/preview', { percentage: 50 }],
  ['GET', '/api/attributes', undefined],
  ['GET', '/readyz', undefined],
];
const statusesOf = (calls: typeof writes) =>
  Promise.all(
    calls.map(async ([method, path, body]) => {
      const { status } = await service.call(method, path, { token: service.admin, body });
      return `${method} ${path}: ${status}`;
    }),
  );
const all = (calls: typeof writes, status: number) => calls.map(([method, path]) => `${method} ${path}: ${status}`);

it('refuses what changes something, and answers what does not, while writes are stopped', async () => {
  await distributing.query('SELECT pg_advisory_lock($1)', [advisoryLocks.writing]);
  await eventually(() => service.db.areWritesStopped);
  expect(await statusesOf(writes)).toEqual(all(writes, 503));
  expect(await statusesOf(reads)).toEqual(all(reads, 200));
  const refused = await service.call('POST', '/api/segments', { token: service.admin, body: { slug: 'OTHER' } });
  expect(refused.headers['retry-after']).toBe('5');
  expect(refused.body).toMatchObject({ code: 'unavailable', detail: expect.stringContaining('being distributed') });

  await distributing.query('SELECT pg_advisory_unlock($1)', [advisoryLocks.writing]);
  await eventually(() => !service.db.areWritesStopped);
  expect((await service.call('POST', '/api/segments', { token: service.admin, body: { slug: 'OTHER' } })).status).toBe(
    200,
  );
});

it('lets writes go on when the session that stopped them is killed', async () => {
  const killed = new pg.Client(service.url);
  killed.on('error', () => undefined);
  await killed.connect();
  await killed.query('SELECT pg_advisory_lock($1)', [advisoryLocks.writing]);
  await eventually(() => service.db.areWritesStopped);
  await distributing.query(
    'SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = $1 AND granted AND pid <> pg_backend_pid() AND mode = $2 AND database = (SELECT oid FROM pg_database WHERE datname = current_database())',
    ['advisory', 'ExclusiveLock'],
  );
  await eventually(() => !service.db.areWritesStopped);
});
