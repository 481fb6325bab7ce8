import { calls, type Feed, type SegmentPage } from '../api.ts';
import type { Call } from '../call.ts';
import type { FeedId } from './follow.ts';

const everyType = ['entered', 'left', 'segment'] as const;
const pageRows = 1_000;

/** @throws TypeError for a feed that leaves out changes that a replica needs. */
export async function readFeed(call: Call, id: FeedId, signal: AbortSignal): Promise<Feed> {
  const feed = (await call(calls.feeds.readFeed, { params: { id }, signal })) as Feed;
  if (everyType.every((type) => feed.types.includes(type))) return feed;
  throw new TypeError(`A replica needs a feed of the types ${everyType.join(', ')}.`);
}

/** The segments that a feed follows now. */
export async function slugsOf(call: Call, { segments, tags }: Feed, signal: AbortSignal): Promise<string[]> {
  if (segments) return segments;
  const slugs: string[] = [];
  for (const tag of tags ?? []) {
    for (let cursor: string | null | undefined; cursor !== null; ) {
      const query = { tag, limit: pageRows, cursor };
      const page = (await call(calls.segments.listSegments, { query, signal })) as SegmentPage;
      slugs.push(...page.segments.map(({ slug }) => slug));
      cursor = page.next_cursor;
    }
  }
  return slugs;
}
