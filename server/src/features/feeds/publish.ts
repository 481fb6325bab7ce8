import type { Tx } from '../../postgres/database.ts';
import type { Standing } from './derive.ts';
import {
  deletePublished,
  insertChanges,
  insertPublished,
  type MemberChange,
  type Pair,
  selectPublished,
} from './published.sql.ts';

const keyOf = ({ segmentId, userId }: Pair) => `${segmentId} ${userId}`;

interface PublishedPair extends Pair {
  readonly before: boolean;
  isIn: boolean;
}

/**
 * Publishes the users whom standings move, compared with the published members, and updates those. Standings that change nothing
 * are skipped, so the same ones may come twice. So are pairs of segments that are not filled that far: the fill will include
 * them.
 */
export async function publish(tx: Tx, standings: readonly Standing[]): Promise<number> {
  if (standings.length === 0) return 0;
  const pairs = [...new Map(standings.map((one) => [keyOf(one), one])).values()];
  const published = new Map<string, PublishedPair>();
  for (const { segment_id, user_id, is_in } of await selectPublished(tx, pairs)) {
    const pair = { segmentId: segment_id, userId: user_id };
    published.set(keyOf(pair), { ...pair, before: is_in, isIn: is_in });
  }
  const changes: MemberChange[] = [];
  for (const { isIn, cause, ...standing } of standings) {
    const last = published.get(keyOf(standing));
    if (!last || last.isIn === isIn) continue;
    last.isIn = isIn;
    changes.push({ ...standing, type: isIn ? 'entered' : 'left', cause: cause ?? (isIn ? 'add' : 'remove') });
  }
  const moved = [...published.values()].filter(({ before, isIn }) => before !== isIn);
  await insertChanges(tx, changes);
  await insertPublished(
    tx,
    moved.filter(({ isIn }) => isIn),
  );
  await deletePublished(
    tx,
    moved.filter(({ isIn }) => !isIn),
  );
  return changes.length;
}
