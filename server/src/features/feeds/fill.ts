import type { Tx } from '../../postgres/database.ts';
import { differencesAfter } from './differences.ts';
import type { Moment, TurnSizes } from './moment.ts';
import {
  beginFeedsOf,
  beginTurn,
  deleteTold,
  fillList,
  insertTold,
  lastUserId,
  selectUnfilled,
  updateFilled,
  updateWriters,
} from './told.sql.ts';
import { stillWriting } from './writers.ts';

/**
 * Goes on with filling a segment that is followed since a short time ago, once all who may not know of it have ended. False
 * where those are waited for.
 */
export async function fillSlice(tx: Tx, moment: Moment, sizes: TurnSizes): Promise<boolean> {
  const unfilled = await selectUnfilled(tx);
  if (!unfilled) return false;
  await beginTurn(tx);
  const { segment_id: id, filled_to: after, writers } = unfilled;
  const { awaited, isOver } = await stillWriting(tx, writers);
  if (!isOver) {
    await updateWriters(tx, id, awaited);
    return awaited.length === 0;
  }
  const last = await fillAfter(tx, moment, id, after, sizes);
  await updateFilled(tx, id, last ?? lastUserId);
  if (last === undefined) await beginFeedsOf(tx, id);
  return true;
}

/** What is told of the next users is how they stand, and nobody hears of it. The last of them; undefined when these were all. */
async function fillAfter(
  tx: Tx,
  moment: Moment,
  segmentId: number,
  after: number,
  sizes: TurnSizes,
): Promise<number | undefined> {
  const rule = moment.rules.byId.get(segmentId);
  if (!rule) return fillList(tx, segmentId, { after, limit: sizes.sliceRows });
  const { found, last } = await differencesAfter(tx, moment, rule, after, sizes);
  const pairs = (isIn: boolean) =>
    found.filter((one) => one.isIn === isIn).map(({ userId }) => ({ segmentId, userId }));
  await insertTold(tx, pairs(true));
  await deleteTold(tx, pairs(false));
  return last;
}
