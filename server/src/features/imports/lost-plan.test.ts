import { untilPasses } from '@kohort/testkit/eventually.ts';
import sql, { raw } from 'sql-template-tag';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Client, clientOf } from '../../../test/client.ts';
import { type Files, filesOf } from '../../../test/files.ts';
import { expectFold } from '../../../test/fold.ts';
import { type Service, startService } from '../../../test/service.ts';
import { everySegment, takeTurn } from '../fences/fences.ts';

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

/** Empties the plan of a job before it is applied, as a crash of PostgreSQL does with unlogged tables. */
async function losePlan(segmentId: number, start: () => Promise<string>): Promise<string> {
  return service.db.transaction(async (tx) => {
    await takeTurn(tx, segmentId);
    const id = await start();
    await untilPasses(async () => {
      const waiting = await service.db.query(sql`
        SELECT FROM pg_locks l JOIN pg_database d ON d.oid = l.database
        WHERE d.datname = current_database() AND l.locktype = 'advisory' AND NOT l.granted`);
      expect(waiting).toHaveLength(1);
    });
    await service.db.query(sql`TRUNCATE import_staging.${raw(`plan_${Number(id)}`)}`);
    return id;
  });
}

const start = async (path: string, text: string) => (await files.send(path, text)).body.job;

describe('a plan that a crash of PostgreSQL has emptied is made again', () => {
  it.each(['add', 'replace'])('by an import of members with mode %s', async (mode) => {
    const slug = `M_${mode}`;
    const id = await client.segment(slug);
    await files.run(`/api/segments/${slug}/import?unknown=create`, 'external_id\nkept\n');
    const text = 'external_id\nkept\nnew\n';
    const job = await losePlan(id, () => start(`/api/segments/${slug}/import?unknown=create&mode=${mode}`, text));
    expect(await files.ended(job)).toMatchObject({ state: 'done', added: 1, removed: 0, unchanged: 1 });
    expect(await client.segmentsOf('ext:kept')).toContain(slug);
  });

  it('by an import of users, and by its undo', async () => {
    const text = 'external_id,plan\nfirst,gold\nsecond,gold\n';
    const job = await losePlan(everySegment, () => start('/api/users/import', text));
    expect(await files.ended(job)).toMatchObject({ state: 'done', added: 2 });
    const undo = async () => (await client.call('POST', `/api/jobs/${job}/undo`)).body.job;
    expect(await files.ended(await losePlan(everySegment, undo))).toMatchObject({ state: 'done', removed: 2 });
  });
});
