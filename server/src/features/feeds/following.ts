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
  deleteSegmentTold,
  endFollows,
  endMove,
  forgetMembers,
  insertSegmentsTold,
  type MoveBy,
  selectEnded,
  selectFeedsToJoin,
  selectFeedsToLeave,
  selectMove,
  selectUnfollowed,
  tellMove,
} from './follows.sql.ts';
import { insertSegmentChange } from './told.sql.ts';

/** Tells a change of a definition, after which other feeds may follow the segment than before. */
export async function tellDefinition(tx: Tx, { segment_id, at, actor, details }: FeedEvent): Promise<void> {
  if (segment_id === null || details === null) return;
  await followByTags(tx, segment_id, { at, actor });
  await insertSegmentChange(tx, segment_id, { at, actor, ...details });
}

/** By the tags that it carries now, whatever came of it in between. */
async function followByTags(tx: Tx, segmentId: number, by: MoveBy): Promise<void> {
  for (const feed of await selectFeedsToLeave(tx, segmentId)) await beginLeaving(tx, feed, [segmentId], by);
  const joining = await selectFeedsToJoin(tx, segmentId);
  if (joining.length === 0) return;
  await insertSegmentsTold(tx, [segmentId]);
  await markFollowed(tx);
  for (const feed of joining) await beginJoining(tx, feed, [segmentId], by);
}

/** Tells a feed that begins to follow a segment, or no longer does, of some members. Returns how many; undefined: no such feed. */
export async function moveSlice(tx: Tx, rows: number): Promise<number | undefined> {
  const move = await selectMove(tx);
  if (!move) return undefined;
  const { told, last } = await tellMove(tx, move, rows);
  if (last === undefined) await endMove(tx, move);
  else await advanceMove(tx, move, last);
  return told;
}

/** Removes some of what was told of a segment that nobody follows any more. False when there is none. */
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
    await deleteSegmentTold(tx, segment_id);
  }
  return true;
}
