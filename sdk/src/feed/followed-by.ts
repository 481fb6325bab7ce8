import { calls, type Feed, type SegmentPage } from '../api.ts';
import type { Call } from '../call.ts';
import type { FeedId } from './follow.ts';

/** What a feed follows now. */
export interface FollowedBy {
  readonly slugs: readonly string[];
  /** Of a feed that follows whatever carries one of them. */
  readonly tags: readonly string[] | null;
}

const everyType = ['entered', 'left', 'segment'] as const;
const pageRows = 1_000;

/** @throws TypeError for a feed that does not say everything that a replica has to hear of. */
export async function followedBy(call: Call, id: FeedId, signal: AbortSignal): Promise<FollowedBy> {
  const { types, segments, tags } = (await call(calls.feeds.readFeed, { params: { id }, signal })) as Feed;
  if (!everyType.every((type) => types.includes(type))) {
    throw new TypeError(`A replica needs a feed of the types ${everyType.join(', ')}.`);
  }
  if (segments) return { slugs: segments, tags: null };
  const slugs: string[] = [];
  for (const tag of tags ?? []) {
    for (let cursor: string | null | undefined; cursor !== null; ) {
      const query = { tag, limit: pageRows, cursor };
      const page = (await call(calls.segments.listSegments, { query, signal })) as SegmentPage;
      slugs.push(...page.segments.map(({ slug }) => slug));
      cursor = page.next_cursor;
    }
  }
  return { slugs, tags };
}
