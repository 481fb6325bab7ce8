import type { Tx } from '../../postgres/database.ts';
import type { Standing } from './derive.ts';
import { deleteTold, insertChanges, insertTold, type MemberChange, type Pair, selectTold } from './told.sql.ts';

const keyOf = ({ segmentId, userId }: Pair) => `${segmentId} ${userId}`;

interface Told extends Pair {
  readonly before: boolean;
  isIn: boolean;
}

/**
 * Tells whom the standings move, compared with what was told last, and remembers it. Standings that move nobody are
 * passed over, so the same ones may come twice. Pairs of segments that are not filled so far are passed over too: what
 * fills them will see what is told here.
 */
export async function tell(tx: Tx, standings: readonly Standing[]): Promise<number> {
  if (standings.length === 0) return 0;
  const pairs = [...new Map(standings.map((one) => [keyOf(one), one])).values()];
  const told = new Map<string, Told>();
  for (const { segment_id, user_id, is_in } of await selectTold(tx, pairs)) {
    const pair = { segmentId: segment_id, userId: user_id };
    told.set(keyOf(pair), { ...pair, before: is_in, isIn: is_in });
  }
  const changes: MemberChange[] = [];
  for (const { isIn, cause, ...standing } of standings) {
    const last = told.get(keyOf(standing));
    if (!last || last.isIn === isIn) continue;
    last.isIn = isIn;
    changes.push({ ...standing, type: isIn ? 'entered' : 'left', cause: cause ?? (isIn ? 'add' : 'remove') });
  }
  const moved = [...told.values()].filter(({ before, isIn }) => before !== isIn);
  await insertChanges(tx, changes);
  await insertTold(
    tx,
    moved.filter(({ isIn }) => isIn),
  );
  await deleteTold(
    tx,
    moved.filter(({ isIn }) => !isIn),
  );
  return changes.length;
}
