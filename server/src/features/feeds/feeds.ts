import { type Cursors, pageOf } from '../../paging/cursors.ts';
import type { Database, Db } from '../../postgres/database.ts';
import { type KeyTags, slugsWithTags } from '../segments/segments.ts';
import { unknownFeed } from './change-feed.ts';
import { deleteFeedRow, type FeedRow, selectFeed, selectFeeds } from './feeds.sql.ts';

export { begun, changeFeed, createFeed, unknownFeed } from './change-feed.ts';
export { awaitChanges, type Changes, changesAfter, cursorOf, placeIn, refuseUnready, resync } from './changes.ts';
export { type FeedsContext, feedsContext } from './context.ts';
export { type ChangeRow, type FeedRow, hasChangesAfter, lastChangeSql, selectLast as lastChange } from './feeds.sql.ts';
export { changeJson, pagePieces } from './on-wire.ts';
export type { Position } from './positions.ts';

/** Keeps the feeds whose segments a key with these tags all sees. */
export async function seenFeeds(db: Db, feeds: readonly FeedRow[], keyTags: KeyTags): Promise<FeedRow[]> {
  if (!keyTags) return [...feeds];
  const slugs = [...new Set(feeds.flatMap(({ tags, segments }) => (tags ? [] : segments)))];
  const seen = new Set(await slugsWithTags(db, keyTags, slugs));
  return feeds.filter(({ tags, segments }) =>
    tags ? tags.every((tag) => keyTags.includes(tag)) : segments.length > 0 && segments.every((slug) => seen.has(slug)),
  );
}

/** @throws Problem 404 also for a feed that the caller's key does not see. */
export async function readFeed(db: Db, id: number, keyTags: KeyTags): Promise<FeedRow> {
  const feed = await selectFeed(db, id);
  const [seen] = feed ? await seenFeeds(db, [feed], keyTags) : [];
  if (!seen) throw unknownFeed();
  return seen;
}

export async function listFeeds(
  { db, cursors }: { readonly db: Database; readonly cursors: Cursors },
  { limit = 100, cursor, keyTags }: { limit?: number; cursor?: string; keyTags: KeyTags },
): Promise<{ feeds: FeedRow[]; next_cursor: string | null }> {
  const [after] = cursor === undefined ? [0] : cursors.decode('feeds', cursor);
  const found = await selectFeeds(db, { after: Number(after), limit: limit + 1 });
  const { rows, next_cursor } = pageOf(found, limit, (last) => cursors.encode('feeds', [last.id]));
  return { feeds: await seenFeeds(db, rows, keyTags), next_cursor };
}

export async function deleteFeed(db: Database, id: number): Promise<void> {
  if (!(await db.transaction((tx) => deleteFeedRow(tx, id)))) throw unknownFeed();
}
