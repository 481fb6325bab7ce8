import { randomBytes } from 'node:crypto';
import { eventually } from '@kohort/testkit/eventually.ts';
import type { PublishedChange } from '@kohort/testkit/published-change.ts';
import sql from 'sql-template-tag';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Client, clientOf } from '../../../test/client.ts';
import { type FollowedFeed, followerOf } from '../../../test/follower.ts';
import { startReceiver } from '../../../test/receiver.ts';
import { type Service, startService } from '../../../test/service.ts';

import { createCursors } from '../../paging/cursors.ts';
import type { Db } from '../../postgres/database.ts';
import { createDefinitionCache } from '../segments/definitions.ts';
import { changesPageBytes } from './changes.ts';
import { selectChanges, selectFeed } from './feeds.sql.ts';
import { feedsContext } from './feeds.ts';
import { SharedReading } from './reading.ts';

const changesOfLarge = 11;
const pieceBytes = 256 * 1024;

let service: Service;
let client: Client;
let feed: FollowedFeed;
/** As they were made: one without a condition, then the large ones, then one small one. */
let published: PublishedChange[];

/** Some 900 KiB, which no compression makes small. */
const large = () => ({ text: { $in: Array.from({ length: 900 }, () => randomBytes(750).toString('base64')) } });

beforeAll(async () => {
  service = await startService({ env: { WEBHOOK_ALLOW: '127.0.0.0/8' }, sender: { pollMs: 50, deadlineMs: 120_000 } });
  client = clientOf(service);
  await client.segment('LARGE');
  feed = await followerOf(service).follow({ segments: ['LARGE'] });
  for (let n = 0; n < changesOfLarge; n++) await client.call('PATCH', '/api/segments/LARGE', { condition: large() });
  await client.call('PATCH', '/api/segments/LARGE', { condition: { n: 1 } });
  await eventually(async () => (await countChanges()) === changesOfLarge + 1);
  published = await service.db.query<PublishedChange>(sql`
    SELECT c.id::text, c.before, c.after FROM feed_changes c WHERE c.type = 'segment' ORDER BY c.id`);
});
afterAll(() => service.stop());

async function countChanges(): Promise<number> {
  const rows = await service.db.query<{ n: number }>(sql`
    SELECT count(*) AS n FROM feed_changes c WHERE c.type = 'segment'`);
  return rows[0]?.n ?? 0;
}

/** Pages that a statement reads to decide which rows it answers: its plan is executed, and nothing is sent. */
async function blocksReadBy(select: (db: Db) => Promise<unknown>): Promise<number> {
  let blocks = Number.NaN;
  await select({
    async query({ text, values }) {
      const explained = { text: `EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) ${text}`, values };
      const [found] = await service.db.query<{ 'QUERY PLAN': [{ Plan: Record<string, number> }] }>(explained);
      const plan = found?.['QUERY PLAN'][0].Plan;
      blocks = (plan?.['Shared Hit Blocks'] ?? Number.NaN) + (plan?.['Shared Read Blocks'] ?? Number.NaN);
      return [];
    },
    isDistributed: false,
    rows: () => Promise.reject(new Error('not asked for')),
    write: () => Promise.reject(new Error('not asked for')),
  });
  return blocks;
}

const idsOf = (changes: readonly { readonly id: string }[]) => changes.map(({ id }) => id);

describe('changes of definitions of a megabyte', () => {
  it('come in pages that end early, whose cursors go on where they ended', async () => {
    const pages: { changes: PublishedChange[]; cursor: string }[] = [];
    for (let cursor = feed.cursor; ; cursor = pages.at(-1)?.cursor ?? '') {
      const page = await client.get(`/api/feeds/${feed.id}/changes?limit=1000&after=${cursor}`);
      if (page.changes.length === 0) break;
      pages.push(page);
    }
    const changes = pages.flatMap((page) => page.changes);
    expect(idsOf(changes)).toEqual(idsOf(published));
    expect(changes.map(({ before, after }) => [before, after])).toEqual(
      published.map(({ before, after }) => [before, after]),
    );
    expect(pages.length).toBeGreaterThan(3);
    for (const page of pages) {
      expect(page.changes.length === 1 || JSON.stringify(page).length < changesPageBytes + 64 * 1024).toBe(true);
    }
  });

  it('are streamed one at a time, in order', async () => {
    const context = feedsContext(
      service.db,
      createCursors('a secret'),
      createDefinitionCache(service.db),
      () => undefined,
    );
    const reading = new SharedReading(context);
    const row = await selectFeed(service.db, feed.id);
    const [begins] = await service.db.query<{ id: number; nonce: number }>(sql`
      SELECT c.id, c.nonce FROM feed_changes c WHERE c.id = ${row?.begins_after ?? 0}`);
    if (!row || !begins) throw new Error('the feed has not begun');
    const seen: string[] = [];
    for (let place = begins; seen.length < published.length; ) {
      const { changes, events, position } = await reading.after(row, place);
      expect(changes.length === 1 || events.length < 2 * pieceBytes).toBe(true);
      seen.push(...changes.map(({ id }) => String(id)));
      place = position;
    }
    expect(seen).toEqual(idsOf(published));
  });

  it('are sent to webhooks in messages of their own', async () => {
    const receiver = await startReceiver();
    const body = { url: receiver.url, feed: feed.id, after: feed.cursor };
    expect((await client.call('POST', '/api/webhooks', body)).status).toBe(201);
    const sent = () => receiver.received.flatMap(({ body: { changes } }) => idsOf(changes));
    await eventually(() => sent().length >= published.length);
    expect(sent()).toEqual(idsOf(published));
    for (const { body: message } of receiver.received) {
      expect(message.changes.length === 1 || JSON.stringify(message).length < 2 * pieceBytes).toBe(true);
    }
    await receiver.stop();
  });

  it('are left out of a page before they are read', async () => {
    const row = await selectFeed(service.db, feed.id);
    if (!row) throw new Error('there is no such feed');
    const after = { id: row.begins_after, nonce: 0 };
    for (const bytes of [1, changesPageBytes]) {
      const read = await blocksReadBy((db) => selectChanges(db, row, { after, limit: 1_000, bytes, scan: 5_000 }));
      expect(read).toBeLessThan(200);
    }
    // The control: what looks at their lengths reads all of them.
    const lengths = sql`SELECT sum(octet_length(c.before::text)) FROM feed_changes c`;
    expect(await blocksReadBy((db) => db.query(lengths))).toBeGreaterThan(1_000);
  });
});
