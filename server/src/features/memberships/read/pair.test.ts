import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Client, clientOf } from '../../../../test/client.ts';
import { type Service, startService } from '../../../../test/service.ts';
import { letPass } from '../../../../test/time.ts';
import { selectPairs } from './pair.sql.ts';

let service: Service;
let client: Client;
const ids = new Map<string, number>();
const attributes = { plan: 'pro' };

beforeAll(async () => {
  service = await startService();
  client = clientOf(service);
  const ann = await client.user({ external_id: 'ann', attributes });
  await client.user({ external_id: 'bob', attributes });
  for (const slug of ['IN', 'OUT', 'ENDED', 'NEITHER']) ids.set(slug, await client.segment(slug));
  for (const { status } of [
    await client.add(ann, 'IN'),
    await client.put(ann, 'OUT', { mode: 'exclude' }),
    await client.add(ann, 'ENDED', { ttl: 60 }),
  ]) {
    expect(status).toBe(200);
  }
  await letPass(service.db, ann, 90);
});
afterAll(() => service.stop());

const asked: readonly [user: string, slug: string | null, mode: string | null][] = [
  ['ann', 'OUT', 'exclude'],
  ['nobody', 'IN', null],
  ['ann', 'ENDED', null],
  ['bob', 'IN', null],
  ['ann', 'IN', 'include'],
  ['ann', null, null],
  ['ann', 'NEITHER', null],
  ['ann', 'OUT', 'exclude'],
];

it.each([
  ['of plain lists alone', () => false],
  ['of which some need attributes', (i: number) => i % 2 === 1],
  ['that all need attributes', () => true],
])('pairs %s are found in the order asked', async (_, needsAttributes) => {
  const before = Date.now();
  const found = await selectPairs(
    service.db,
    asked.map(([externalId, slug], i) => ({
      externalId,
      segmentId: slug === null ? null : (ids.get(slug) ?? 0),
      needsAttributes: needsAttributes(i),
    })),
  );
  expect(found.pairs).toEqual(
    asked.map(([user, , mode], i) => ({
      mode,
      attributes: needsAttributes(i) && user !== 'nobody' ? attributes : null,
    })),
  );
  expect(found.revision).toBeGreaterThan(0);
  // The database may have another clock.
  expect(Math.abs(found.now - before)).toBeLessThan(60_000);
});
