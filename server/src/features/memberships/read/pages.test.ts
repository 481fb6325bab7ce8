import sql from 'sql-template-tag';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Client, clientOf } from '../../../../test/client.ts';
import { type Explained, explained, rowsReadBy } from '../../../../test/plan.ts';
import { type Service, startService } from '../../../../test/service.ts';
import type { Db } from '../../../postgres/database.ts';
import type { Definitions } from '../../../segmentation/definitions.ts';
import { selectChanges } from '../../history/history.sql.ts';
import { createDefinitionCache, freshDefinitions } from '../../segments/definitions.ts';
import { memberSql } from './member-rule.sql.ts';
import { pagesPlannerOff, selectListMembers } from './members-of-segment.sql.ts';
import { rulePage } from './members-of-segment.ts';
import { selectOverrides } from './overrides.sql.ts';

const USERS = 30_000;
const LIMIT = 500;
const OTHERS = 150;

let service: Service;
let client: Client;
let held: Definitions;
beforeAll(async () => {
  service = await startService();
  client = clientOf(service);
  await service.db.write(sql`INSERT INTO users (external_id) SELECT 'u' || n FROM generate_series(1, ${USERS}::int) n`);
  for (let n = 0; n < OTHERS; n++) await client.segment(`OTHER-${n}`);
  await client.segment('FILLED');
  await client.segment('HALF', { percentage: 50 });
  await client.segment('NAMES', { condition: { $inSegment: 'FILLED' } });
  // What PostgreSQL knows of the memberships is from before the segment was filled, as it is after every large import: to
  // gather and sort the few that it expects seems cheap.
  await service.db.query(sql`ALTER TABLE memberships SET (autovacuum_enabled = off)`);
  await service.db.write(sql`
    INSERT INTO memberships (user_id, segment_id, mode, since)
    SELECT u.id, s.id, 'include', s.created_at
    FROM users u, segments s
    WHERE u.external_id IS NOT NULL AND s.slug LIKE 'OTHER-%' AND (u.id + s.id) % ${OTHERS / 2}::bigint = 0
    ORDER BY md5(u.id || s.slug)`);
  await service.db.query(sql`ANALYZE users, memberships`);
  await service.db.write(sql`
    INSERT INTO memberships (user_id, segment_id, mode, since)
    SELECT u.id, s.id, 'include', s.created_at
    FROM users u, segments s
    WHERE u.external_id IS NOT NULL AND s.slug = 'FILLED'`);
  held = await freshDefinitions(createDefinitionCache(service.db));
});
afterAll(() => service.stop());

/** How many rows PostgreSQL goes through for what `select` asks, in the kind of transaction that pages are read in. */
function rowsOf(select: (db: Db) => Promise<unknown>): Promise<number> {
  return service.db.transaction(
    async (tx) => {
      let read = 0;
      await select({
        async query({ text, values }) {
          const [row] = await tx.query<Explained>({ text: explained(text), values });
          read += rowsReadBy(row);
          return tx.query({ text, values });
        },
        isDistributed: false,
        rows: () => Promise.reject(new Error('not asked for')),
        write: () => Promise.reject(new Error('not asked for')),
      });
      return read;
    },
    { plannerOff: pagesPlannerOff },
  );
}

it.each(['FILLED', 'HALF', 'NAMES'])('a page of %s costs the same wherever it is', async (slug) => {
  const definition = held.bySlug.get(slug);
  if (!definition) throw new Error('there is no such segment');
  const now = Date.now();
  const member = memberSql(held, definition, { now, isDistributed: false });
  const page = (after: number) =>
    rowsOf((db) =>
      slug === 'FILLED'
        ? selectListMembers(db, definition.id, { after, limit: LIMIT, now })
        : // A condition that SQL cannot say would be another test.
          rulePage(
            db,
            definition,
            member ?? expect.fail('not in SQL'),
            { after, limit: LIMIT },
            { now, until: Infinity },
          ),
    );
  for (const after of [1, USERS / 2, USERS - LIMIT]) expect(await page(after)).toBeLessThan(10 * LIMIT);
});

it('the overrides of a segment are found by index, also a handful that exclude among very many', async () => {
  const { id = 0 } = held.bySlug.get('FILLED') ?? {};
  const now = Date.now();
  await service.db.write(sql`
    UPDATE memberships m SET mode = 'exclude' WHERE m.segment_id = ${id} AND m.user_id % ${USERS / 5}::bigint = 7`);
  for (const after of [1, USERS / 2]) {
    for (const mode of ['include', 'any'] as const) {
      expect(await rowsOf((db) => selectOverrides(db, id, { mode, after, limit: LIMIT, now }))).toBeLessThan(
        10 * LIMIT,
      );
    }
    expect(await rowsOf((db) => selectOverrides(db, id, { mode: 'exclude', after, limit: LIMIT, now }))).toBeLessThan(
      20,
    );
  }
});

it('the changes of a segment are found by index, whatever happened to others since', async () => {
  const { id = 0 } = held.bySlug.get('NAMES') ?? {};
  const [{ others } = { others: [0] }] = await service.db.query<{ others: number[] }>(sql`
    SELECT array_agg(s.id) AS others FROM segments s WHERE s.slug LIKE 'OTHER-%'`);
  await service.db.write(sql`
    INSERT INTO history (user_id, segment_id, op, mode, at, actor)
    SELECT n, CASE WHEN n % 10 = 0 THEN ${id}::bigint ELSE (${others}::bigint[])[n % ${OTHERS}::int + 1] END, 'add', 'include',
      '2026-01-01T00:00:00Z'::timestamptz + n * interval '1 second', 'user:1'
    FROM generate_series(1, ${USERS}::int) n`);
  await service.db.query(sql`ANALYZE history`);
  const at = (second: number) => new Date(Date.UTC(2026, 0, 1, 0, 0, second));
  for (const before of [undefined, { at: at(USERS / 2), seq: 1 }]) {
    for (const [from, to] of [
      [undefined, undefined],
      [at(100), at(USERS - 100)],
    ]) {
      const read = await rowsOf((db) => selectChanges(db, id, { from, to, before, limit: 50 }));
      expect(read).toBeLessThan(150);
    }
  }
});
