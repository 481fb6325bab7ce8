import { setTimeout as sleep } from 'node:timers/promises';
import { type ChangeType, changeTypes, invalid, Problem } from '@kohort/contract';
import { type Cursors, pageOf } from '../../paging/cursors.ts';
import type { Database, Db, Transactor, Tx } from '../../postgres/database.ts';
import {
  type DefinitionCache,
  type KeyTags,
  markFollowed,
  refuseUnseen,
  slugsWithTags,
  unknownSegment,
} from '../segments/segments.ts';
import { Deriver } from './deriver.ts';
import {
  type ChangeRow,
  countFeeds,
  deleteFeedRow,
  type FeedRow,
  insertFeed,
  insertFollows,
  keepDefinitions,
  lockFeed,
  selectChanges,
  selectDatabaseName,
  selectFeed,
  selectFeeds,
  selectFollowedIds,
  selectIdsOf,
  selectIdsWithTags,
  selectPosition,
  updateFeed,
} from './feeds.sql.ts';
import { beginJoining, beginLeaving, insertSegmentsTold, selectMoment } from './follows.sql.ts';
import { decodePosition, encodePosition, markOf, type Position } from './positions.ts';
import { Tail } from './tail.ts';

export { type ChangeRow, type FeedRow, selectLast as lastChange, tellsAfter } from './feeds.sql.ts';
export { changeOnWire, type WireChange } from './on-wire.ts';
export type { Position } from './positions.ts';

/** What feeds work with; one for the whole process. */
export interface FeedsContext {
  readonly db: Database;
  readonly cursors: Cursors;
  readonly deriver: Deriver;
  /** For those who wait for changes. */
  readonly tail: Tail;
  /** Names the database in cursors. */
  readonly mark: () => Promise<Buffer>;
  readonly limits: FeedLimits;
}

/** How many there are at most. */
export interface FeedLimits {
  readonly feeds: number;
  readonly feedsOfOneCaller: number;
  /** Segments that all feeds follow; one that two of them follow counts twice. */
  readonly follows: number;
}

const usualLimits: FeedLimits = { feeds: 1_000, feedsOfOneCaller: 250, follows: 20_000 };

/** Changes of all feeds that one statement looks through for those of one. */
const scanRows = 5_000;
const readyWithinMs = 20_000;
const lookEveryMs = 50;

export function feedsContext(
  db: Database,
  cursors: Cursors,
  definitions: DefinitionCache,
  onError: (error: unknown, what: string) => void,
  limits = usualLimits,
): FeedsContext {
  const tail = new Tail({ db, onError });
  const deriver = new Deriver({ db, definitions, onError, onTold: () => tail.wake() });
  let mark: Buffer | undefined;
  return {
    db,
    cursors,
    deriver,
    tail,
    limits,
    mark: async () => {
      mark ??= markOf(await selectDatabaseName(db));
      return mark;
    },
  };
}

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

/** @throws Problem 400 unless a feed names segments or tags, and a key with tags none but its own. */
function checkInput({ segments, tags }: FeedInput, keyTags: KeyTags): void {
  if (segments && tags) throw invalid('/body/tags', 'must not be given beside segments');
  if (!segments && !tags) throw invalid('/body/segments', 'must be given, or tags');
  refuseForeign(tags, keyTags);
}

function refuseForeign(tags: readonly string[] | undefined, keyTags: KeyTags): void {
  if (!keyTags || !tags) return;
  const foreign = tags.findIndex((tag) => !keyTags.includes(tag));
  if (foreign >= 0) throw invalid(`/body/tags/${foreign}`, 'is not one of the tags of this key');
}

/** Creates a feed. It begins here, or, where nobody followed one of its segments before, once that has been filled. */
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
    await insertSegmentsTold(tx, ids);
    await markFollowed(tx);
    const feed = await selectFeed(tx, id);
    if (!feed) throw unknownFeed();
    return { id, cursor: encodePosition(await mark(), await positionOf(tx, feed.begins_after)) };
  });
}

async function refuseTooMany(
  tx: Tx,
  limits: FeedLimits,
  more: { readonly actor: string; readonly feeds: number; readonly follows: number },
): Promise<void> {
  const { all, own, follows } = await countFeeds(tx, more.actor);
  const refuse = (what: string) => {
    throw new Problem('feeds_exhausted', `There are ${what} already. Delete feeds that nobody reads.`);
  };
  if (all + more.feeds > limits.feeds) refuse(`${all} feeds`);
  if (more.feeds > 0 && own + more.feeds > limits.feedsOfOneCaller) refuse(`${own} feeds of yours`);
  if (follows + more.follows > limits.follows) refuse(`${follows} segments followed by feeds`);
}

/** Changes a feed. It is told of the members of segments that it begins to follow, or no longer does. */
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
    if (segments && feed.tags) throw invalid('/body/segments', 'are not for a feed by tags');
    if (tags && !feed.tags) throw invalid('/body/tags', 'are not for a feed by segments');
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
  await insertSegmentsTold(tx, joining);
  await markFollowed(tx);
  await beginJoining(tx, id, joining, by);
  await beginLeaving(tx, id, [...before.difference(after)], by);
}

async function idsOf(db: Db, slugs: readonly string[]): Promise<number[]> {
  const found = await selectIdsOf(db, slugs);
  const known = new Set(found.map(({ slug }) => slug));
  const unknown = slugs.filter((slug) => !known.has(slug));
  if (unknown.length > 0) throw unknownSegment(...unknown);
  return found.map(({ id }) => id);
}

async function positionOf(db: Db, id: number): Promise<Position> {
  const position = await selectPosition(db, id);
  if (!position) throw resync('is from before what is kept');
  return position;
}

/** Waits until a feed that was created has begun, and answers from where it goes on. */
export async function begun(context: FeedsContext, { id, cursor }: { id: number; cursor: string }): Promise<string> {
  const { db, deriver, mark } = context;
  deriver.wake();
  for (const until = performance.now() + readyWithinMs; performance.now() < until; await sleep(lookEveryMs)) {
    const feed = await selectFeed(db, id);
    if (!feed) return cursor;
    if (!feed.is_ready) continue;
    const created = decodePosition(await mark(), cursor, '/cursor');
    const begins = await selectPosition(db, feed.begins_after);
    return begins && begins.id > (created?.id ?? 0) ? encodePosition(await mark(), begins) : cursor;
  }
  return cursor;
}

/** Whether a key with these tags sees all that a feed follows. */
export async function isSeen(db: Db, { tags, segments }: FeedRow, keyTags: KeyTags): Promise<boolean> {
  if (!keyTags) return true;
  if (tags) return tags.every((tag) => keyTags.includes(tag));
  const seen = new Set(await slugsWithTags(db, keyTags, segments));
  return segments.length > 0 && segments.every((slug) => seen.has(slug));
}

/** @throws Problem 404 also for a feed that the caller's key does not see. */
export async function readFeed(db: Db, id: number, keyTags: KeyTags): Promise<FeedRow> {
  const feed = await selectFeed(db, id);
  if (!feed || !(await isSeen(db, feed, keyTags))) throw unknownFeed();
  return feed;
}

export async function listFeeds(
  { db, cursors }: FeedsContext,
  { limit = 100, cursor, keyTags }: { limit?: number; cursor?: string; keyTags: KeyTags },
): Promise<{ feeds: FeedRow[]; next_cursor: string | null }> {
  const [after] = cursor === undefined ? [0] : cursors.decode('feeds', cursor);
  const found = await selectFeeds(db, { after: Number(after), limit: limit + 1 });
  const { rows, next_cursor } = pageOf(found, limit, (last) => cursors.encode('feeds', [last.id]));
  const seen = await Promise.all(rows.map((feed) => isSeen(db, feed, keyTags)));
  return { feeds: rows.filter((_, i) => seen[i]), next_cursor };
}

export async function deleteFeed(db: Database, id: number): Promise<void> {
  if (!(await db.transaction((tx) => deleteFeedRow(tx, id)))) throw unknownFeed();
}

export function resync(why: string): Problem {
  return new Problem('resync', `The cursor ${why}. Take a snapshot, and go on with its cursor.`);
}

function refuseUnready({ is_ready }: FeedRow): void {
  if (is_ready) return;
  throw new Problem('overloaded', 'The feed is being prepared. Try again shortly.', { retryAfter: 1 });
}

/**
 * Where a caller goes on in a feed: after the change that their cursor names, or where the feed begins.
 * @throws Problem 410 when what came after it is not known any more.
 */
export async function placeIn(
  context: FeedsContext,
  feed: FeedRow,
  cursor: string | undefined,
  path = '/query/after',
): Promise<Position> {
  const { db, mark } = context;
  const asked = cursor === undefined ? undefined : decodePosition(await mark(), cursor, path);
  if (cursor !== undefined && !asked) throw resync('is of another database');
  refuseUnready(feed);
  if (!asked) return positionOf(db, feed.begins_after);
  if (asked.id < feed.begins_after) throw resync('is from before the feed began');
  const found = await selectPosition(db, asked.id);
  if (found?.nonce !== asked.nonce) throw resync('is older than what is kept, or of another database');
  return found;
}

export interface Changes {
  readonly changes: readonly ChangeRow[];
  /** From where to go on. */
  readonly position: Position;
}

/**
 * The first changes of a feed after a place that {@link placeIn} has found; fewer than there are, and perhaps none, where a
 * look at more would take long. There may be more whenever `position` has moved.
 * @throws Problem 410 when that place is no longer kept.
 */
export async function changesAfter(db: Db, feed: FeedRow, after: Position, limit: number): Promise<Changes> {
  const found = await selectChanges(db, feed, { after, limit, scan: scanRows });
  if (!found) throw resync('is older than what is kept, or of another database');
  return { changes: found.changes, position: found.end ?? after };
}

/** The same; where there are none, waits for some. Empty when none came in time, or the caller has left. */
export async function awaitChanges(
  { db, tail }: FeedsContext,
  feed: FeedRow,
  after: Position,
  { limit, waitMs, left }: { readonly limit: number; readonly waitMs: number; readonly left: AbortSignal },
): Promise<Changes> {
  const until = performance.now() + waitMs;
  for (let position = after; ; ) {
    const found = await changesAfter(db, feed, position, limit);
    const restMs = until - performance.now();
    if (found.changes.length > 0 || restMs <= 0 || left.aborted || tail.isClosed) return found;
    if (found.position.id === position.id) await tail.waitAfter(position.id, restMs, left);
    position = found.position;
  }
}

/** As callers carry it. */
export async function cursorOf({ mark }: FeedsContext, position: Position): Promise<string> {
  return encodePosition(await mark(), position);
}
