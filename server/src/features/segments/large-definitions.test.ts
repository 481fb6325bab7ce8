import sql from 'sql-template-tag';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Client, clientOf } from '../../../test/client.ts';
import { type Service, startService } from '../../../test/service.ts';
import { pageBytes } from '../../paging/cursors.ts';

const mebibyte = 1024 * 1024;

let service: Service;
let client: Client;
beforeAll(async () => {
  service = await startService();
  client = clientOf(service);
});
afterAll(() => service.stop());

/** Some 900 KiB. */
const large = (n: number) => ({ text: { $in: Array.from({ length: 900 }, (_, i) => `${n}-${i}`.padEnd(1_000, 'x')) } });

/** Every page of a list, by the length of its JSON and by what it shows. */
async function pagesOf(path: string, list: string): Promise<{ bytes: number; items: Record<string, unknown>[] }[]> {
  const pages = [];
  for (let cursor: string | null = ''; cursor !== null; ) {
    const page: Record<string, never> = await client.get(
      `${path}?limit=1000${cursor === '' ? '' : `&cursor=${cursor}`}`,
    );
    pages.push({ bytes: JSON.stringify(page).length, items: page[list] ?? [] });
    cursor = page.next_cursor ?? null;
  }
  return pages;
}

describe('a page of what is large', () => {
  it('of segments ends early, and its cursor goes on where it ended', async () => {
    const slugs = Array.from({ length: 11 }, (_, n) => `large-${String(n).padStart(2, '0')}`);
    for (const [n, slug] of slugs.entries()) await client.segment(slug, { condition: large(n) });
    const pages = await pagesOf('/api/segments', 'segments');
    expect(pages.length).toBeGreaterThan(2);
    for (const { bytes } of pages) expect(bytes).toBeLessThan(pageBytes + 64 * 1024);
    expect(pages.flatMap(({ items }) => items.map(({ slug }) => slug))).toEqual(slugs);
  });

  it('of versions ends early, with what stood before its last event', async () => {
    await client.segment('changing', { condition: large(0) });
    for (let n = 1; n < 6; n++) await client.call('PATCH', '/api/segments/changing', { condition: large(n) });
    const pages = await pagesOf('/api/segments/changing/history', 'events');
    expect(pages.length).toBeGreaterThan(1);
    for (const { bytes } of pages) expect(bytes).toBeLessThan(pageBytes + 64 * 1024);
    const events = pages.flatMap(({ items }) => items);
    expect(events.map(({ after }) => Reflect.get(Object(after), 'condition'))).toEqual(
      [5, 4, 3, 2, 1, 0].map((n) => large(n)),
    );
    expect(events.map(({ before }) => before && Reflect.get(Object(before), 'condition'))).toEqual([
      ...[4, 3, 2, 1, 0].map((n) => large(n)),
      null,
    ]);
  });

  it('of users ends early', async () => {
    await service.db.write(sql`
      INSERT INTO users (attributes) SELECT jsonb_build_object('text', repeat('x', 16000)) FROM generate_series(1, 600)`);
    const pages = await pagesOf('/api/users', 'users');
    expect(pages.length).toBeGreaterThan(2);
    for (const { bytes } of pages) expect(bytes).toBeLessThan(mebibyte + 1_000 * 200);
    const ids = pages.flatMap(({ items }) => items.map(({ id }) => Number(id)));
    expect(ids.length).toBeGreaterThan(600);
    expect(ids).toEqual([...new Set(ids)].toSorted((a, b) => a - b));
  });
});

it('the conditions of all segments have a bound together, which what is small or shrinks does not meet', async () => {
  await service.db.write(sql`
    WITH revised AS (UPDATE definitions SET revision = revision + 1 RETURNING revision)
    INSERT INTO segments (slug, salt, condition, revision, created_at, updated_at)
    SELECT 'filling-' || n, 'salt', jsonb_build_object('text', repeat('x', ${mebibyte}::int)), r.revision, now(), now()
    FROM revised r, generate_series(1, 60) n`);
  const refused = { status: 409, body: { code: 'conditions_exhausted' } };
  expect(await client.call('POST', '/api/segments', { slug: 'one-too-many', condition: large(0) })).toMatchObject(
    refused,
  );
  expect(
    await client.call('PATCH', '/api/segments/filling-1', { condition: { text: 'x'.repeat(1_040_000) } }),
  ).toMatchObject({
    status: 200,
  });
  expect(await client.call('POST', '/api/segments', { slug: 'a-list' })).toMatchObject({ status: 200 });
  const applied = { segments: [{ slug: 'one-too-many', version: null, condition: large(0) }] };
  expect(await client.call('POST', '/api/definitions/apply', applied)).toMatchObject(refused);
  for (let n = 1; n < 12; n++) expect((await client.call('DELETE', `/api/segments/filling-${n}`)).status).toBe(200);
  expect(await client.call('POST', '/api/segments', { slug: 'one-too-many', condition: large(0) })).toMatchObject({
    status: 200,
  });
});

it('so has how often they name each other', async () => {
  for (let n = 0; n < 2; n++) await client.segment(`named-${n}`);
  // Of segments that there are not, since to check all of them takes longer.
  await service.db.write(sql`
    ALTER TABLE segment_references DROP CONSTRAINT segment_references_segment_fkey,
      DROP CONSTRAINT segment_references_referenced_fkey`);
  await service.db.write(sql`
    INSERT INTO segment_references (segment_id, referenced_id) SELECT 1000000, 1000000 + n FROM generate_series(1, 99999) n`);
  const naming = (n: number) => ({ condition: { $inSegment: `named-${n}` } });
  const both = { condition: { $or: [naming(0).condition, naming(1).condition] } };
  expect((await client.call('POST', '/api/segments', { slug: 'the-last', ...naming(0) })).status).toBe(200);
  const refused = { status: 409, body: { code: 'conditions_exhausted' } };
  expect(await client.call('POST', '/api/segments', { slug: 'beyond', ...naming(0) })).toMatchObject(refused);
  expect(await client.call('PATCH', '/api/segments/the-last', both)).toMatchObject(refused);
  const shorter = await client.call('PATCH', '/api/segments/the-last', { condition: { text: 'x'.repeat(1_000) } });
  expect(shorter.status).toBe(200);
  await service.db.write(sql`INSERT INTO segment_references (segment_id, referenced_id) VALUES (1000001, 1000000)`);
  expect(await client.call('PATCH', '/api/segments/the-last', naming(0))).toMatchObject(refused);
  await service.db.write(sql`DELETE FROM segment_references`);
  expect((await client.call('PATCH', '/api/segments/the-last', naming(1))).status).toBe(200);
});
