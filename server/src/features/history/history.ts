import { invalid, type UserRef } from '@kohort/contract';
import { type Cursors, pageOf, placeWithin } from '../../paging/cursors.ts';
import type { Database } from '../../postgres/database.ts';
import { completeHistory } from '../memberships/memberships.ts';
import { readUser } from '../users/users.ts';
import { type HistoryQuery, type HistoryRow, selectHistory } from './history.sql.ts';

export interface HistoryEvent {
  readonly at: Date;
  readonly slug: string;
  readonly action: HistoryRow['op'];
  readonly source: string;
  readonly expires_at: Date | null;
  readonly actor: string;
}

export interface HistoryContext {
  readonly db: Database;
  readonly cursors: Cursors;
}

export interface HistoryPage extends Pick<HistoryQuery, 'from' | 'to' | 'segment' | 'keyTags'> {
  readonly limit?: number;
  readonly cursor?: string;
}

/** Where a change came from: which way it set the override, or the bulk job that did. */
export function sourceOf({ mode, job }: Pick<HistoryRow, 'mode' | 'job'>): string {
  return job === null ? mode : `import:${job}`;
}

/** Changes of the overrides of one user, newest first. */
export async function historyOfUser(
  { db, cursors }: HistoryContext,
  ref: UserRef,
  { from, to, segment, keyTags, limit = 100, cursor }: HistoryPage,
): Promise<{ events: HistoryEvent[]; next_cursor: string | null }> {
  if (from && to && from > to) throw invalid('/query/from', 'must not be after to');
  const decoded = cursor === undefined ? undefined : cursors.decode('history', cursor);
  const { id } = await readUser(db, ref);
  const place = placeWithin(id, decoded);
  // Expired overrides are swept late; readers see them as if they had been written down at once.
  if (!place) await completeHistory(db, id);
  const found = await selectHistory(db, id, {
    from,
    to,
    segment,
    keyTags,
    before: place && { at: new Date(Number(place[0])), seq: Number(place[1]) },
    limit: limit + 1,
  });
  const { rows, next_cursor } = pageOf(found, limit, ({ at, seq }) =>
    cursors.encode('history', [id, at.getTime(), seq]),
  );
  const events = rows.map((row) => ({
    at: row.at,
    slug: row.slug,
    action: row.op,
    source: sourceOf(row),
    expires_at: row.expires_at,
    actor: row.actor,
  }));
  return { events, next_cursor };
}
