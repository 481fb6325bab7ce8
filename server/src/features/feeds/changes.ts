import { Problem } from '@kohort/contract';
import type { Db } from '../../postgres/database.ts';
import type { FeedsContext } from './context.ts';
import { type ChangeRow, type FeedRow, selectChanges, selectPosition } from './feeds.sql.ts';
import { decodePosition, encodePosition, type Position } from './positions.ts';

/** How many changes, of all feeds, one statement scans for those of one feed. */
const scanRows = 5_000;
/** The most bytes of definitions on a page, unless a single change has more. */
export const changesPageBytes = 1024 * 1024;

const tooOld = 'is older than the changes that are kept, or from another database';

export function resync(why: string): Problem {
  return new Problem('resync', `The cursor ${why}. Take a snapshot and continue from its cursor.`);
}

/** @throws Problem 503 while the members are not known yet. */
export function refuseUnready({ is_ready }: FeedRow): void {
  if (is_ready) return;
  throw new Problem('overloaded', 'The feed is being prepared. Try again shortly.', { retryAfter: 1 });
}

/** @throws Problem 410 if the change has been deleted. */
export async function positionOf(db: Db, id: number): Promise<Position> {
  const position = await selectPosition(db, id);
  if (!position) throw resync('is older than the changes that are kept');
  return position;
}

/**
 * The position from which a caller continues: after the change that the cursor names, or the start of the feed.
 * @throws Problem 410 if changes after the cursor have been deleted.
 */
export async function placeIn(
  context: FeedsContext,
  feed: FeedRow,
  cursor: string | undefined,
  path = '/query/after',
): Promise<Position> {
  const { db, mark } = context;
  const asked = cursor === undefined ? undefined : decodePosition(await mark(), cursor, path);
  if (cursor !== undefined && !asked) throw resync('is from another database');
  refuseUnready(feed);
  if (!asked) return positionOf(db, feed.begins_after);
  if (asked.id < feed.begins_after) throw resync('is from before the feed began');
  const found = await selectPosition(db, asked.id);
  if (found?.nonce !== asked.nonce) throw resync(tooOld);
  return found;
}

export interface Changes {
  readonly changes: readonly ChangeRow[];
  /** Where to continue. */
  readonly position: Position;
}

/**
 * The first changes of a feed after a position from {@link placeIn}. The scan is bounded, and so are the bytes of definitions in
 * one answer (the first change excepted), so there may be fewer than `limit`, or none, although more exist: that is so whenever
 * `position` has moved.
 * @throws Problem 410 if the change at that position has been deleted.
 */
export async function changesAfter(
  db: Db,
  feed: FeedRow,
  after: Position,
  { limit, bytes = changesPageBytes }: { readonly limit: number; readonly bytes?: number },
): Promise<Changes> {
  const found = await selectChanges(db, feed, { after, limit, bytes, scan: scanRows });
  if (!found) throw resync(tooOld);
  return { changes: found.changes, position: found.end ?? after };
}

/** Like {@link changesAfter}, but waits while there are none. Empty if none come in time or the caller disconnects. */
export async function awaitChanges(
  { db, tail }: FeedsContext,
  feed: FeedRow,
  after: Position,
  { limit, waitMs, left }: { readonly limit: number; readonly waitMs: number; readonly left: AbortSignal },
): Promise<Changes> {
  const until = performance.now() + waitMs;
  for (let position = after; ; ) {
    const found = await changesAfter(db, feed, position, { limit });
    const restMs = until - performance.now();
    if (found.changes.length > 0 || restMs <= 0 || left.aborted || tail.isClosed) return found;
    if (found.position.id === position.id) await tail.waitAfter(position.id, restMs, left);
    position = found.position;
  }
}

/** The opaque text that callers send back. */
export async function cursorOf({ mark }: FeedsContext, position: Position): Promise<string> {
  return encodePosition(await mark(), position);
}
