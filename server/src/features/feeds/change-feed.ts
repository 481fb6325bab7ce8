import { setTimeout as sleep } from 'node:timers/promises';
import { type ChangeType, changeTypes, invalid, Problem } from '@kohort/contract';
import type { Db, Transactor, Tx } from '../../postgres/database.ts';
import { type KeyTags, markFollowed, refuseUnseen, unknownSegment } from '../segments/segments.ts';
import { positionOf } from './changes.ts';
import type { FeedLimits, FeedsContext } from './context.ts';
import {
  countFeeds,
  type FeedRow,
  insertFeed,
  insertFollows,
  keepDefinitions,
  lockFeed,
  selectFeed,
  selectFollowedIds,
  selectIdsOf,
  selectIdsWithTags,
  selectPosition,
  updateFeed,
} from './feeds.sql.ts';
import { beginJoining, beginLeaving, insertFeedSegments, selectMoment } from './follows.sql.ts';
import { decodePosition, encodePosition } from './positions.ts';

const readyWithinMs = 20_000;

const pollEveryMs = 50;

export interface FeedInput {
  readonly name: string;
  readonly segments?: readonly string[];
  readonly tags?: readonly string[];
  readonly types?: readonly ChangeType[];
}

export interface Caller {
  readonly actor: string;
  readonly tags?: KeyTags;
}

export function unknownFeed(): Problem {
  return new Problem('feed_unknown', 'There is no such feed.');
}

/** @throws Problem 400 unless the feed names either segments or tags, and a key with tags names only its own. */
function checkInput({ segments, tags }: FeedInput, keyTags: KeyTags): void {
  if (segments && tags) throw invalid('/body/tags', 'must not be combined with segments');
  if (!segments && !tags) throw invalid('/body/segments', 'is required unless tags are given');
  refuseForeign(tags, keyTags);
}

function refuseForeign(tags: readonly string[] | undefined, keyTags: KeyTags): void {
  if (!keyTags || !tags) return;
  const foreign = tags.findIndex((tag) => !keyTags.includes(tag));
  if (foreign >= 0) throw invalid(`/body/tags/${foreign}`, 'is not one of the tags of this key');
}

/** Creates a feed. It begins at once, or, if no feed followed one of its segments before, once that segment is filled. */
export function createFeed(
  { mark, limits }: FeedsContext,
  within: Transactor,
  input: FeedInput,
  { actor, tags: keyTags }: Caller,
): Promise<{ id: number; cursor: string }> {
  checkInput(input, keyTags);
  const { name, segments = [], tags = null, types = changeTypes } = input;
  return within.transaction(async (tx) => {
    await keepDefinitions(tx);
    await refuseUnseen(tx, keyTags, segments);
    const ids = tags ? await selectIdsWithTags(tx, tags) : await idsOf(tx, segments);
    await refuseTooMany(tx, limits, { actor, feeds: 1, follows: ids.length });
    const id = await insertFeed(tx, {
      name,
      tags: tags && [...new Set(tags)],
      types: [...new Set(types)],
      createdBy: actor,
    });
    await insertFollows(tx, id, ids);
    await insertFeedSegments(tx, ids);
    await markFollowed(tx);
    const feed = await selectFeed(tx, id);
    if (!feed) throw unknownFeed();
    return { id, cursor: encodePosition(await mark(), await positionOf(tx, feed.begins_after)) };
  });
}

/** Waits until a new feed has begun, and returns the cursor to start from. */
export async function begun(context: FeedsContext, { id, cursor }: { id: number; cursor: string }): Promise<string> {
  const { db, deriver, mark } = context;
  deriver.wake();
  for (const until = performance.now() + readyWithinMs; performance.now() < until; await sleep(pollEveryMs)) {
    const feed = await selectFeed(db, id);
    if (!feed) return cursor;
    if (!feed.is_ready) continue;
    const created = decodePosition(await mark(), cursor, '/cursor');
    const begins = await selectPosition(db, feed.begins_after);
    return begins && begins.id > (created?.id ?? 0) ? encodePosition(await mark(), begins) : cursor;
  }
  return cursor;
}

/** Changes a feed. It receives the members of the segments that it starts or stops following as entered or left. */
export async function changeFeed(
  { db, deriver, limits }: FeedsContext,
  id: number,
  { name, segments, tags, types }: Partial<FeedInput>,
  { actor, tags: keyTags }: Caller,
): Promise<FeedRow> {
  const changed = await db.transaction(async (tx) => {
    await keepDefinitions(tx);
    const feed = (await lockFeed(tx, id)) ? await selectFeed(tx, id) : undefined;
    if (!feed) throw unknownFeed();
    if (segments && feed.tags) throw invalid('/body/segments', 'cannot be set: the feed follows tags');
    if (tags && !feed.tags) throw invalid('/body/tags', 'cannot be set: the feed follows segments');
    refuseForeign(tags, keyTags);
    await refuseUnseen(tx, keyTags, segments ?? []);
    await updateFeed(tx, id, {
      name: name ?? feed.name,
      tags: tags ? [...new Set(tags)] : feed.tags,
      types: types ? [...new Set(types)] : feed.types,
    });
    const wanted = tags ? await selectIdsWithTags(tx, tags) : segments && (await idsOf(tx, segments));
    if (wanted) await followOthers(tx, id, wanted, { actor, limits });
    return selectFeed(tx, id);
  });
  deriver.wake();
  if (!changed) throw unknownFeed();
  return changed;
}

async function followOthers(
  tx: Tx,
  id: number,
  wanted: readonly number[],
  { actor, limits }: { readonly actor: string; readonly limits: FeedLimits },
): Promise<void> {
  const [before, after] = [new Set(await selectFollowedIds(tx, id)), new Set(wanted)];
  const joining = [...after.difference(before)];
  await refuseTooMany(tx, limits, { actor, feeds: 0, follows: joining.length });
  const by = { at: await selectMoment(tx), actor };
  await insertFeedSegments(tx, joining);
  await markFollowed(tx);
  await beginJoining(tx, id, joining, by);
  await beginLeaving(tx, id, [...before.difference(after)], by);
}

async function refuseTooMany(
  tx: Tx,
  limits: FeedLimits,
  more: { readonly actor: string; readonly feeds: number; readonly follows: number },
): Promise<void> {
  const { all, own, follows } = await countFeeds(tx, more.actor);
  const refuse = (what: string) => {
    throw new Problem('feeds_exhausted', `There are ${what} already. Delete unused feeds.`);
  };
  if (all + more.feeds > limits.feeds) refuse(`${all} feeds`);
  if (more.feeds > 0 && own + more.feeds > limits.feedsOfOneCaller) refuse(`${own} feeds of yours`);
  if (follows + more.follows > limits.follows) refuse(`${follows} segments followed by feeds`);
}

async function idsOf(db: Db, slugs: readonly string[]): Promise<number[]> {
  const found = await selectIdsOf(db, slugs);
  const known = new Set(found.map(({ slug }) => slug));
  const unknown = slugs.filter((slug) => !known.has(slug));
  if (unknown.length > 0) throw unknownSegment(...unknown);
  return found.map(({ id }) => id);
}
