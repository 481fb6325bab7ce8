import { Problem } from '@kohort/contract';
import type { Db } from '../../postgres/database.ts';
import type { FeedsContext } from './context.ts';
import { type ChangeRow, type FeedRow, selectChanges, selectPosition } from './feeds.sql.ts';
import { decodePosition, encodePosition, type Position } from './positions.ts';

/** Changes of all feeds that one statement looks through for those of one. */
const scanRows = 5_000;

export function resync(why: string): Problem {
  return new Problem('resync', `The cursor ${why}. Take a snapshot, and go on with its cursor.`);
}

/** @throws Problem 503 while it is not known who is in. */
export function refuseUnready({ is_ready }: FeedRow): void {
  if (is_ready) return;
  throw new Problem('overloaded', 'The feed is being prepared. Try again shortly.', { retryAfter: 1 });
}

/** @throws Problem 410 when the change is not kept any more. */
export async function positionOf(db: Db, id: number): Promise<Position> {
  const position = await selectPosition(db, id);
  if (!position) throw resync('is from before what is kept');
  return position;
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
