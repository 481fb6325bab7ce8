import { untilPasses } from '@kohort/testkit/eventually.ts';
import sql from 'sql-template-tag';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Client, clientOf } from '../../../test/client.ts';
import { type Files, filesOf } from '../../../test/files.ts';
import { expectFold } from '../../../test/fold.ts';
import { untilLocked } from '../../../test/locks.ts';
import { type Service, startService } from '../../../test/service.ts';
import type { Tx } from '../../postgres/database.ts';
import { everySegment, takeTurn } from '../fences/fences.sql.ts';

/** What happens to single calls beside an import, and to the import beside them. */

let service: Service;
let client: Client;
let files: Files;
beforeAll(async () => {
  service = await startService();
  client = clientOf(service);
  files = filesOf(service);
});
afterAll(() => service.stop());

const NDJSON = 'application/x-ndjson';
const MANY = 40;

/** As if it had never been. */
class Undone extends Error {}

/** More calls than there are connections, each of which meets what an import keeps locked. */
async function expectOthersServed(blocked: () => Promise<{ status: number }[]>, letGo: () => void): Promise<void> {
  let haveEnded = false;
  const waiting = blocked().finally(() => {
    haveEnded = true;
  });
  // For a moment the blocked calls may take all connections, until each has given up its own.
  await untilPasses(async () => {
    const others = await Promise.all([
      client.call('GET', '/api/users/ext:bystander'),
      client.call('GET', '/api/segments/Bystanders/count'),
      client.call('GET', '/api/users/ext:bystander/segments'),
      client.add('ext:bystander', 'Bystanders'),
    ]);
    expect(others.map(({ status }) => status)).toEqual([200, 200, 200, 200]);
  });
  expect(haveEnded).toBe(false);
  letGo();
  for (const { status } of await waiting) expect(status).toBeOneOf([200, 204]);
}

/** Does `work` while an import of this text stands still where `stop` has put itself in its way. */
async function whileApplying(
  { path, text, type }: { path: string; text: string; type?: string },
  stop: (tx: Tx) => Promise<unknown>,
  work: (letGo: () => void) => Promise<void>,
): Promise<{ state: string; attempts?: number }> {
  let letGo = () => {};
  const gone = new Promise<void>((resolve) => {
    letGo = resolve;
  });
  let job = '';
  const ready = Promise.withResolvers<void>();
  const blocking = service.db.transaction(async (tx) => {
    await stop(tx);
    job = (await files.send(path, text, type)).body.job;
    await untilPasses(async () =>
      expect(await service.db.query(sql`SELECT FROM fences f WHERE f.job = ${Number(job)}`)).not.toHaveLength(0),
    );
    await untilLocked(service.db);
    ready.resolve();
    await gone;
    throw new Undone();
  });
  blocking.catch(ready.reject);
  await ready.promise;
  try {
    await work(letGo);
  } finally {
    letGo();
    await expect(blocking).rejects.toThrow(Undone);
  }
  return files.ended(job);
}

it('begins with a bystander', async () => {
  await client.segment('Bystanders');
  await client.user({ external_id: 'bystander' });
});

describe('calls that meet what an import keeps locked wait without a connection, and others go on', () => {
  it('changes, memberships and the erasure of users whom an import of users has changed', async () => {
    const users = Array.from({ length: MANY }, (_, i) => `changed${i}`);
    const ids: number[] = [];
    for (const external_id of [...users, 'changed-last']) ids.push(await client.user({ external_id }));
    const text = [...users, 'changed-last']
      .map((external_id) => JSON.stringify({ external_id, name: 'new' }))
      .join('\n');
    const job = await whileApplying(
      { path: '/api/users/import', text, type: NDJSON },
      (tx) => tx.query(sql`SELECT FROM users u WHERE u.id = ${ids.at(-1)} FOR UPDATE`),
      (letGo) =>
        expectOthersServed(
          () =>
            Promise.all(
              users.map((user, i) => {
                if (i % 4 === 0) return client.call('DELETE', `/api/users/ext:${user}`);
                if (i % 4 === 1)
                  return client.call('PATCH', `/api/users/ext:${user}/segments`, { add: ['Bystanders'] });
                if (i % 4 === 2) return client.add(`ext:${user}`, 'Bystanders');
                return client.call('PATCH', `/api/users/ext:${user}`, { attributes: { i } });
              }),
            ),
          letGo,
        ),
    );
    expect(job).toMatchObject({ state: 'done', updated: MANY + 1 });
    expect(await client.get('/api/users/ext:changed3')).toMatchObject({ name: 'new', attributes: { i: 3 } });
  });

  it('registrations of users whom an import creates, which then are those users', async () => {
    await client.segment('Created');
    const { id } = await client.get('/api/segments/Created');
    const old = await client.user({ external_id: 'was-there' });
    const users = Array.from({ length: MANY }, (_, i) => `created${i}`);
    const job = await whileApplying(
      { path: '/api/segments/Created/import?unknown=create', text: `external_id\nwas-there\n${users.join('\n')}\n` },
      // The import meets this membership at the primary key, and waits for what becomes of it.
      (tx) =>
        tx.write(sql`
          INSERT INTO memberships (user_id, segment_id, mode, since) VALUES (${old}, ${id}, 'include', now())`),
      (letGo) =>
        expectOthersServed(
          () =>
            Promise.all(
              users.map((user, i) =>
                i % 2 === 0
                  ? client.add(`ext:${user}`, 'Bystanders')
                  : client.call('PATCH', `/api/users/ext:${user}`, { name: 'x' }),
              ),
            ),
          letGo,
        ),
    );
    expect(job.state).toBe('done');
  });
});

describe('users whom another call registers after an import was planned are those that the import means', () => {
  /** Has the import planned, then registers, then lets it be applied. */
  async function raced(segment: number, path: string, text: string, register: () => Promise<unknown>, type?: string) {
    let job = '';
    await service.db.transaction(async (tx) => {
      await takeTurn(tx, segment);
      job = (await files.send(path, text, type)).body.job;
      await untilLocked(service.db);
      await register();
    });
    return files.ended(job);
  }

  it.each([
    ['add', 20],
    ['replace', 20],
    ['add', 60_000],
  ])('mode %s, a file of %i', async (mode, size) => {
    const slug = `Raced-${mode}-${size}`;
    const segment = await client.segment(slug);
    const users = Array.from({ length: size }, (_, i) => `${slug}-${i}`);
    const rivals = [0, size / 2, size - 1].map((i) => users[i] ?? '');
    const ids: number[] = [];
    const path = `/api/segments/${slug}/import?unknown=create&mode=${mode}`;
    const job = await raced(segment, path, `external_id\n${users.join('\n')}\n`, async () => {
      for (const external_id of rivals) ids.push(await client.user({ external_id, name: 'the rival' }));
    });
    expect(job).toMatchObject({ state: 'done', added: size, updated: 0, removed: 0, unchanged: 0 });
    expect(await service.db.query(sql`SELECT j.attempts FROM jobs j WHERE j.id = ${Number(job.id)}`)).toEqual([
      { attempts: 1 },
    ]);
    expect((await client.get(`/api/segments/${slug}/count`)).count).toBe(size);
    for (const [i, rival] of rivals.entries()) {
      expect(await client.get(`/api/users/ext:${rival}`)).toMatchObject({ id: ids[i], name: 'the rival' });
      expect(await client.segmentsOf(`ext:${rival}`)).toEqual([slug]);
      expect(await client.story(`ext:${rival}`)).toEqual([`add import:${job.id}`]);
    }
  });

  it('an import of users', async () => {
    const users = Array.from({ length: 20 }, (_, i) => `raced-user-${i}`);
    const text = users.map((external_id) => JSON.stringify({ external_id, attributes: { ours: true } })).join('\n');
    const job = await raced(
      everySegment,
      '/api/users/import?unknown=create',
      text,
      () => client.user({ external_id: 'raced-user-7', attributes: { theirs: true } }),
      NDJSON,
    );
    expect(job).toMatchObject({ state: 'done', added: 19, updated: 1, unchanged: 0 });
    expect(await client.get('/api/users/ext:raced-user-7')).toMatchObject({ attributes: { ours: true, theirs: true } });
  });
});

describe('what an import that died has left behind', () => {
  it.each([
    ['all users of a segment', -1, null],
    ['some users', 0, [1, 2, 3]],
  ])('blocks no call for long: %s', async (_, block, offsets) => {
    await service.db.write(sql`
      INSERT INTO fences (segment_id, block, job, offsets)
      VALUES (${everySegment}, ${block}, 999999, ${offsets}::smallint[])`);
    const id = await client.user({ external_id: `innocent${block}` });
    expect((await client.call('DELETE', `/api/users/${id}`)).status).toBe(204);
  });
});

it('leaves the state what the history comes to', () => expectFold(service.db));
