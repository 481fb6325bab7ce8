import sql from 'sql-template-tag';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { clientOf } from '../../../test/client.ts';
import { type Files, filesOf } from '../../../test/files.ts';
import { type Explained, explained, rowsReadBy } from '../../../test/plan.ts';
import { type Service, startService } from '../../../test/service.ts';
import { selectJob } from '../../jobs/queue.ts';
import type { Tx } from '../../postgres/database.ts';
import { followExpiries } from '../memberships/memberships.ts';
import { joinByHash } from './bulk.ts';
import { createUndoPlan, dropChangedSince } from './undo.sql.ts';

const ROWS = 3_000;

let service: Service;
let files: Files;
beforeAll(async () => {
  service = await startService();
  files = filesOf(service);
  await clientOf(service).segment('VIP');
  // The planner knows nothing of what imports write, as it is until autovacuum comes by.
  await service.db.query(sql`ALTER TABLE history SET (autovacuum_enabled = off)`);
});
afterAll(() => service.stop());

/** The same transaction, which explains what it writes. */
function explaining(tx: Tx, found: (rows: number) => void): Tx {
  return {
    ...tx,
    async write({ text, values }: Parameters<Tx['write']>[0]) {
      const [row] = await tx.query<Explained>({ text: explained(text), values: [...values] });
      found(rowsReadBy(row));
      return [];
    },
  };
}

it('the undo of a replacement looks at each change a few times, however new the history is', async () => {
  const file = (from: number) => `external_id\n${Array.from({ length: ROWS }, (_, i) => `u${from + i}`).join('\n')}\n`;
  await files.run('/api/segments/VIP/import?mode=replace', file(0));
  const { id, segment } = await files.run('/api/segments/VIP/import?mode=replace', file(ROWS / 2));
  const undone = await selectJob(service.db, Number(id));
  if (!undone) throw new Error(`there is no job of ${segment}`);
  const read: number[] = [];
  await service.db.transaction(
    async (tx) => {
      const explained = explaining(tx, (rows) => read.push(rows));
      await createUndoPlan(explained, 999, undone);
      await dropChangedSince(explained, 999, undone.segment_id ?? 0);
    },
    { plannerOff: ['jit', 'parallel'] },
  );
  expect(read).toHaveLength(2);
  for (const rows of read) expect(rows).toBeLessThan(30 * ROWS);
});

it('the order of what an import wrote is checked by a look at few rows, however new the history is', async () => {
  const names = Array.from({ length: ROWS }, (_, i) => `v${i}`).join('\n');
  await clientOf(service).segment('NEW');
  await files.run('/api/users/import', `external_id\n${names}\n`);
  const { id } = await files.run('/api/segments/NEW/import', `external_id\n${names}\n`);
  const job = await selectJob(service.db, Number(id));
  const segmentId = job?.segment_id ?? 0;
  const now = new Date().toISOString();
  await service.db.write(sql`
    INSERT INTO history (user_id, segment_id, op, mode, at, expires_at, actor)
    SELECT m.user_id, m.segment_id, 'expire', m.mode, date_trunc('milliseconds', now() + interval '1 hour'), NULL, 'system'
    FROM memberships m WHERE m.segment_id = ${segmentId} LIMIT 10`);
  let read = 0;
  await service.db.transaction(
    async (tx) => {
      await joinByHash(tx, { rows: ROWS });
      const found = (rows: number) => {
        read += rows;
      };
      await followExpiries(explaining(tx, found), { job: Number(id), segmentId, now });
    },
    { plannerOff: ['jit', 'parallel'] },
  );
  expect(read).toBeGreaterThan(0);
  expect(read).toBeLessThan(ROWS / 10);
});
