import type { Tx } from '../../postgres/database.ts';
import { replaceDue } from './due.sql.ts';
import type { Moment, TurnSizes } from './moment.ts';
import { lookAtUsers } from './rechecks.ts';
import {
  beginFeedsOf,
  beginTurn,
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
export async function fillSlice(tx: Tx, moment: Moment, { sliceRows, usersAtOnce }: TurnSizes): Promise<boolean> {
  const unfilled = await selectUnfilled(tx);
  if (!unfilled) return false;
  await beginTurn(tx);
  const { segment_id: id, filled_to: after, writers } = unfilled;
  const { awaited, isOver } = await stillWriting(tx, writers);
  if (!isOver) {
    await updateWriters(tx, id, awaited);
    return awaited.length === 0;
  }
  const rule = moment.rules.byId.get(id);
  let last: number | undefined;
  if (rule) {
    const slice = await lookAtUsers(tx, moment, rule, { after, limit: usersAtOnce });
    await insertTold(
      tx,
      slice.looks.filter(({ isIn }) => isIn).map(({ userId }) => ({ segmentId: id, userId })),
    );
    await replaceDue(tx, slice.due);
    last = slice.last;
  } else if (moment.rules.definitions.byId.has(id)) {
    last = await fillList(tx, id, { after, limit: sliceRows });
  }
  await updateFilled(tx, id, last ?? lastUserId);
  if (last === undefined) await beginFeedsOf(tx, id);
  return true;
}
