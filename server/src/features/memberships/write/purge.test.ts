import sql from 'sql-template-tag';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { type Client, clientOf } from '../../../../test/client.ts';
import { expectFold } from '../../../../test/fold.ts';
import { type Service, startService } from '../../../../test/service.ts';
import { purgeSegment } from './purge.ts';

let service: Service;
let client: Client;
beforeAll(async () => {
  service = await startService();
  client = clientOf(service);
});
afterAll(async () => {
  await expectFold(service.db);
  await service.stop();
});

/** Users 1001 onwards, members of the segment, with history: as if they had been added one by one. */
async function fill(segment: number, members: number): Promise<void> {
  await service.db.transaction(
    async (tx) => {
      // Without the triggers that look up the segment for each row.
      await tx.query(sql`SET LOCAL session_replication_role = replica`);
      await tx.write(sql`
        INSERT INTO memberships (user_id, segment_id, mode, since, expires_at)
        SELECT 1000 + i, ${segment}::bigint, CASE i % 10 WHEN 0 THEN 'exclude' ELSE 'include' END,
          date_trunc('milliseconds', now()), CASE i % 10 WHEN 1 THEN date_trunc('milliseconds', now()) + interval '1 hour' END
        FROM generate_series(1, ${members}::int) i`);
      await tx.write(sql`
        INSERT INTO history (user_id, segment_id, op, mode, at, expires_at, actor)
        SELECT user_id, segment_id, 'add', mode, since, expires_at, 'user:1' FROM memberships WHERE segment_id = ${segment}`);
    },
    { statementTimeout: 60_000 },
  );
}

const rest = async (segment: number) => {
  const [row] = await service.db.query<{ count: number }>(sql`
    SELECT count(*) AS count FROM memberships WHERE segment_id = ${segment}`);
  return row?.count;
};

it('deleting a segment of 200,000 is answered at once and shown at once; the remove rows follow, dated with that moment', async ({
  annotate,
}) => {
  const members = 200_000;
  await service.db.write(sql`
    INSERT INTO users (id) OVERRIDING SYSTEM VALUE SELECT 1000 + i FROM generate_series(1, ${members}::int) i`);
  const segment = await client.segment('large');
  await fill(segment, members);
  expect((await client.get('/api/segments/large/count')).count).toBe(members * 0.9);

  const begun = performance.now();
  expect((await client.call('DELETE', '/api/segments/large')).status).toBe(200);
  const answered = performance.now() - begun;
  expect(await client.segmentsOf(1_199)).toEqual([]);
  for (const path of ['', '/users', '/count']) {
    expect((await client.call('GET', `/api/segments/large${path}`)).status).toBe(404);
  }
  // Whoever looks at one of its members sees it removed, done or not.
  expect((await client.get('/api/users/150000/history')).events[0]).toMatchObject({ action: 'remove', slug: 'large' });
  // The slug is free, and what comes after has nothing to do with what was.
  const again = await client.segment('large');
  await client.add(1_001, 'large');
  expect(await client.segmentsOf(1_001)).toEqual(['large']);

  await vi.waitFor(async () => expect(await rest(segment)).toBe(0), { timeout: 45_000, interval: 100 });
  const purged = performance.now() - begun;
  expect(
    await service.db.query(sql`
      SELECT h.op, h.actor, h.at = s.deleted_at AS at_once, count(*) AS rows, count(h.expires_at) AS expiring
      FROM history h JOIN segments s ON s.id = h.segment_id
      WHERE s.id = ${segment} AND h.op <> 'add' GROUP BY 1, 2, 3`),
  ).toEqual([{ op: 'remove', actor: 'user:1', at_once: true, rows: members, expiring: members / 10 }]);
  expect(await rest(again)).toBe(1);
  await annotate(`answered in ${answered.toFixed()} ms, ${members} remove rows after ${purged.toFixed()} ms`);
  expect(answered).toBeLessThan(2_000);
}, 90_000);

it('a purge waits for rows that somebody else holds instead of leaving them behind', async () => {
  const segment = await client.segment('held');
  await fill(segment, 10);
  let purging: Promise<void> | undefined;
  await service.db.transaction(async (tx) => {
    await tx.query(sql`SELECT FROM memberships WHERE segment_id = ${segment} AND user_id = 1003 FOR UPDATE`);
    await client.call('DELETE', '/api/segments/held');
    purging = purgeSegment(service.db, segment);
    await vi.waitFor(async () => expect(await rest(segment)).toBe(1));
  });
  await purging;
  expect(await rest(segment)).toBe(0);
});
