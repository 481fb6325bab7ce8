import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { fill } from '@kohort/testkit/citus-fill.ts';
import { createDatabase, type TestDatabase } from '@kohort/testkit/database.ts';
import { eventually } from '@kohort/testkit/eventually.ts';
import { countUnfolded } from '@kohort/testkit/fold.ts';
import pg from 'pg';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { type Service, startService } from '../../../test/service.ts';
import { migrate } from '../migrate.ts';
import { distribute } from './distribute.ts';

let test: TestDatabase;
let client: pg.Client;
let services: Service[];

beforeEach(async () => {
  test = await createDatabase({ migrated: false });
  await migrate(test.url, join(import.meta.dirname, '../../../../schema'));
  client = new pg.Client(test.url);
  await client.connect();
  services = [];
});
afterEach(async () => {
  for (const service of services) await service.stop();
  await client.end();
  await test.drop();
});

/** Calls one after another until it is told to stop. @returns what was answered, and how often. */
function keepCalling(call: (n: number) => Promise<number>): () => Promise<Record<number, number>> {
  const statuses: Record<number, number> = {};
  let isGoing = true;
  const calling = (async () => {
    for (let n = 0; isGoing; n++) {
      const status = await call(n);
      statuses[status] = (statuses[status] ?? 0) + 1;
      await turn();
    }
  })();
  return async () => {
    isGoing = false;
    await calling;
    return statuses;
  };
}

it('is survived by instances that read and write meanwhile', async () => {
  const { rows } = await client.query<{ newest: number }>('SELECT version::int AS newest FROM schema_migrations');
  await fill(client);
  // A replica, which it may have until the tables are distributed. This one is none, so that the primary answers anyway.
  const replica = { READ_DATABASE_URL: `${test.url}?options=-c%20geqo%3Doff` };
  for (const env of [{}, replica]) services.push(await startService({ database: test.url, env }));
  const [one, other] = services;
  if (!one || !other) throw new Error('two services were started');
  await one.call('POST', '/api/segments', { token: one.admin, body: { slug: 'HALF', percentage: 50 } });
  const added = new Set<string>();
  const add = async (service: Service, user: string) => {
    const path = `/api/users/ext:${user}/segments`;
    const { status } = await service.call('POST', path, { token: service.admin, body: { slug: 'S1' } });
    if (status === 200) added.add(user);
    return status;
  };
  const read = async (n: number) => {
    const path = `/api/users/ext:user-${1 + (n % 500)}/segments`;
    const { status, body } = await other.call('GET', path, { token: other.admin });
    if (status === 200)
      expect(body.segments.filter((slug: string) => slug !== 'HALF')).toEqual(['S1', 'S2', 'S3', 'S4']);
    return status;
  };
  const stopWriting = keepCalling((n) => add(one, `w-${n}`));
  const stopReading = keepCalling(read);
  const own = new pg.Client(test.url);
  await own.connect();
  await distribute(own, { newest: rows[0]?.newest ?? 0, say: () => undefined });
  await own.end();
  await eventually(async () => (await add(one, 'late')) === 200 && (await add(other, 'later')) === 200);
  const [written, seen] = [await stopWriting(), await stopReading()];
  expect([Object.keys(written), Object.keys(seen)]).toEqual([['200', '503'], ['200']]);

  expect([one.db.isDistributed, other.db.isDistributed]).toEqual([true, true]);
  const count = await other.call('GET', '/api/segments/S1/count', { token: other.admin });
  expect(count.body.count).toBeGreaterThan(500);
  expect((await other.call('GET', '/metrics')).text).toMatch(/reason="distributed"\} 1$/m);
  expect(await countUnfolded(client)).toBe(0);
  for (const user of added) {
    const { body } = await other.call('GET', `/api/users/ext:${user}/segments`, { token: other.admin });
    expect(body.segments).toContain('S1');
  }
}, 120_000);
