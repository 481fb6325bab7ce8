import type { Tx } from '../../postgres/database.ts';
import { differencesAfter } from './differences.ts';
import { beginFeedsOf, fillList, lastUserId, selectUnfilled, updateFilled, updateWriters } from './fill.sql.ts';
import type { Moment, TurnSizes } from './moment.ts';
import { deletePublished, insertPublished } from './published.sql.ts';
import { beginTurn } from './turn-state.sql.ts';
import { stillWriting } from './writers.ts';

/**
 * Continues to fill a newly followed segment, once all transactions have ended that may not know it is followed. False while
 * waiting for those.
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

/** Stores the next members as published, without a change. Returns the last user; undefined at the end. */
async function fillAfter(
  tx: Tx,
  moment: Moment,
  segmentId: number,
  after: number,
  sizes: TurnSizes,
): Promise<number | undefined> {
  const rule = moment.rules.byId.get(segmentId);
  if (!rule) return fillList(tx, segmentId, { after, limit: sizes.sliceRows, at: new Date(moment.now) });
  const { found, last } = await differencesAfter(tx, moment, rule, after, sizes);
  const pairs = (isIn: boolean) =>
    found.filter((one) => one.isIn === isIn).map(({ userId }) => ({ segmentId, userId }));
  await insertPublished(tx, pairs(true));
  await deletePublished(tx, pairs(false));
  return last;
}
