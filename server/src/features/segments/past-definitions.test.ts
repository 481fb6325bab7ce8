import sql from 'sql-template-tag';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Client, clientOf } from '../../../test/client.ts';
import { type Service, startService } from '../../../test/service.ts';
import { type KeptDefinitions, pastDefinitions } from './past-definitions.ts';

const mebibyte = 1024 * 1024;

let service: Service;
let client: Client;
beforeAll(async () => {
  service = await startService();
  client = clientOf(service);
});
afterAll(() => service.stop());

/** Changes a definition. @returns the moment from which on the change counts. */
async function change(slug: string): Promise<Date> {
  const id = await client.segment(slug);
  const rows = await service.db.query<{ at: Date }>(
    sql`SELECT v.at FROM segment_versions v WHERE v.segment_id = ${id}`,
  );
  if (!rows[0]) throw new Error('a segment without a version');
  // Two changes in one millisecond would be one state.
  await service.db.query(sql`SELECT pg_sleep(0.002)`);
  return rows[0].at;
}

const bytesOf = (kept: KeptDefinitions) => [...kept.values()].reduce((sum, { bytes }) => sum + bytes, 0);

it('at most eight states of the past are kept, those read last', async () => {
  const kept: KeptDefinitions = new Map();
  const moments: Date[] = [];
  for (let n = 0; n < 10; n++) moments.push(await change(`state-${n}`));
  const states = [];
  for (const at of moments) states.push(await pastDefinitions(kept, service.db, at));
  expect(states.map(({ bySlug }) => bySlug.size)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  expect(kept.size).toBe(8);
  for (const [n, at] of moments.entries()) {
    if (n >= 2) expect(await pastDefinitions(kept, service.db, at), `state ${n} is kept`).toBe(states[n]);
  }
  expect(await pastDefinitions(kept, service.db, moments[0] ?? new Date()), 'the first is read again').not.toBe(
    states[0],
  );
  expect(kept.size).toBe(8);
});

it('a state that many ask for at once is read once', async () => {
  const kept: KeptDefinitions = new Map();
  const at = await change('at-once');
  const states = await Promise.all(Array.from({ length: 20 }, () => pastDefinitions(kept, service.db, at)));
  expect(new Set(states).size).toBe(1);
  expect(kept.size).toBe(1);
});

it('they hold 64 MiB of conditions together', async () => {
  const kept: KeptDefinitions = new Map();
  const before = await change('before-large');
  // 25 MiB in each state from now on.
  await service.db.write(sql`
    WITH revised AS (UPDATE definitions SET revision = revision + 1 RETURNING revision), made AS (
      INSERT INTO segments (slug, salt, revision, created_at, updated_at)
      SELECT 'large-' || n, 'salt', r.revision, now(), now() FROM revised r, generate_series(1, 25) n
      RETURNING id, slug, created_at
    )
    INSERT INTO segment_versions (segment_id, version, at, actor, action, slug, tags, condition)
    SELECT m.id, 1, m.created_at, 'user:1', 'create', m.slug, '{}', jsonb_build_object('text', repeat('x', ${mebibyte}::int))
    FROM made m`);
  const moments = [before, await change('large-a'), await change('large-b'), await change('large-c')];
  const sizes: number[] = [];
  for (const at of moments) {
    await pastDefinitions(kept, service.db, at);
    sizes.push(Math.floor(bytesOf(kept) / mebibyte));
  }
  expect(sizes).toEqual([0, 25, 50, 50]);
  expect(kept.size).toBe(2);
});
