import type { Tx } from '../../postgres/database.ts';
import type { FeedEvent } from '../outbox/outbox.ts';
import { markFollowed, unmarkFollowed } from '../segments/segments.ts';
import { forgetDue } from './due.sql.ts';
import { keepDefinitions } from './feeds.sql.ts';
import {
  advanceMove,
  beginForgetting,
  beginJoining,
  beginLeaving,
  deleteFeedSegment,
  endFollows,
  endMove,
  forgetMembers,
  insertFeedSegments,
  type MoveBy,
  publishMove,
  selectEnded,
  selectFeedsToJoin,
  selectFeedsToLeave,
  selectMove,
  selectUnfollowed,
} from './follows.sql.ts';
import { insertSegmentChange } from './published.sql.ts';

/** Publishes a change of a definition. Its tags may have changed, and with them the feeds that follow the segment. */
export async function publishDefinition(tx: Tx, { segment_id, at, actor, details }: FeedEvent): Promise<void> {
  if (segment_id === null || details === null) return;
  await followByTags(tx, segment_id, { at, actor });
  await insertSegmentChange(tx, segment_id, { at, actor, ...details });
}

/** Goes by the current tags: changes in between have their own events. */
async function followByTags(tx: Tx, segmentId: number, by: MoveBy): Promise<void> {
  for (const feed of await selectFeedsToLeave(tx, segmentId)) await beginLeaving(tx, feed, [segmentId], by);
  const joining = await selectFeedsToJoin(tx, segmentId);
  if (joining.length === 0) return;
  await insertFeedSegments(tx, [segmentId]);
  await markFollowed(tx);
  for (const feed of joining) await beginJoining(tx, feed, [segmentId], by);
}

/** Publishes some members to a feed that joins or leaves a segment. Returns how many; undefined if there is no such feed. */
export async function moveSlice(tx: Tx, rows: number): Promise<number | undefined> {
  const move = await selectMove(tx);
  if (!move) return undefined;
  const { published, last } = await publishMove(tx, move, rows);
  if (last === undefined) await endMove(tx, move);
  else await advanceMove(tx, move, last);
  return published;
}

/** Deletes some published members of a segment that no feed follows any more. False if there is none. */
export async function forgetSlice(tx: Tx, rows: number): Promise<boolean> {
  const ended = await selectEnded(tx);
  if (ended !== undefined) {
    await endFollows(tx, ended);
    return true;
  }
  const unfollowed = await selectUnfollowed(tx);
  if (!unfollowed) return false;
  const { segment_id, is_forgotten } = unfollowed;
  if (!is_forgotten) {
    await keepDefinitions(tx);
    await beginForgetting(tx, segment_id);
    await unmarkFollowed(tx);
  } else if ((await forgetMembers(tx, segment_id, rows)) < rows && (await forgetDue(tx, segment_id, rows)) < rows) {
    await deleteFeedSegment(tx, segment_id);
  }
  return true;
}
