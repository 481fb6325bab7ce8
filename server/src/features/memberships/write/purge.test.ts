import { untilPasses } from '@kohort/testkit/eventually.ts';
import sql from 'sql-template-tag';
import { afterAll, beforeAll, expect, it } from 'vitest';
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
  // Over 200,000 rows, which takes longer than the service would let a statement take.
  await service.db.transaction(expectFold, { readOnly: true, statementTimeout: 120_000 });
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

it('deleting a segment of 50,000 is answered at once and shown at once; the remove rows follow, dated with that moment', async () => {
  // Of more than two batches.
  const members = 50_000;
  await service.db.write(sql`
    INSERT INTO users (id) OVERRIDING SYSTEM VALUE SELECT 1000 + i FROM generate_series(1, ${members}::int) i`);
  const segment = await client.segment('large');
  await fill(segment, members);
  expect((await client.get('/api/segments/large/count')).count).toBe(members * 0.9);

  expect((await client.call('DELETE', '/api/segments/large')).status).toBe(200);
  expect(await client.segmentsOf(1_199)).toEqual([]);
  for (const path of ['', '/users', '/count']) {
    expect((await client.call('GET', `/api/segments/large${path}`)).status).toBe(404);
  }
  // A read of one of its members shows it removed, purged or not.
  expect((await client.get('/api/users/40000/history')).events[0]).toMatchObject({ action: 'remove', slug: 'large' });
  // The slug is free, and what comes after has nothing to do with what was.
  const again = await client.segment('large');
  await client.add(1_001, 'large');
  expect(await client.segmentsOf(1_001)).toEqual(['large']);

  await untilPasses(async () => expect(await rest(segment)).toBe(0));
  expect(
    await service.db.query(sql`
      SELECT h.op, h.actor, h.at = s.deleted_at AS at_once, count(*) AS rows, count(h.expires_at) AS expiring
      FROM history h JOIN segments s ON s.id = h.segment_id
      WHERE s.id = ${segment} AND h.op <> 'add' GROUP BY 1, 2, 3`),
  ).toEqual([{ op: 'remove', actor: 'user:1', at_once: true, rows: members, expiring: members / 10 }]);
  expect(await rest(again)).toBe(1);
});

it('a purge waits for rows that another transaction holds instead of leaving them behind', async ({ skip }) => {
  skip(service.db.isDistributed, 'Citus cannot skip locked rows: there the whole purge waits, or is tried again');
  const segment = await client.segment('held');
  await fill(segment, 10);
  let purging: Promise<void> | undefined;
  await service.db.transaction(async (tx) => {
    await tx.query(sql`SELECT FROM memberships WHERE segment_id = ${segment} AND user_id = 1003 FOR UPDATE`);
    await client.call('DELETE', '/api/segments/held');
    purging = purgeSegment(service.db, segment);
    await untilPasses(async () => expect(await rest(segment)).toBe(1));
  });
  await purging;
  expect(await rest(segment)).toBe(0);
});
