import type { Db } from '../../../postgres/database.ts';
import { keepSnapshots, selectIdsAfter } from './one-moment.sql.ts';
import { type Moment, takesTooLong } from './one-moment.ts';

/** Users by id: `after` is exclusive, `to` inclusive. Without `to` all of them. */
export interface Slice {
  readonly after: number;
  readonly to?: number;
}

/** Ids. Some tenths of a second for PostgreSQL: often enough to report progress, rarely enough that the pieces cost no more than the whole. */
const sliceIds = 500_000;

/**
 * The users after an id, in one slice for a waiting caller, and in many for a job: between two of them it reports how far it is, and
 * stops if it was cancelled or is out of time. All slices are of one snapshot.
 */
export async function* slicesOf(
  tx: Db,
  { until, progress }: Pick<Moment, 'until' | 'progress'>,
  { after = 0 }: { after?: number } = {},
): AsyncGenerator<Slice, void, undefined> {
  if (!progress) {
    yield { after };
    return;
  }
  await keepSnapshots(tx);
  for (let reached = after; ; ) {
    // Starts at the next user, since a gap in the ids may be of any size.
    const { first, last } = await selectIdsAfter(tx, reached);
    if (first === null || last === null) return;
    progress(reached, last);
    if (performance.now() > until) throw takesTooLong();
    const to = first - 1 + sliceIds;
    yield { after: first - 1, to };
    reached = to;
  }
}
