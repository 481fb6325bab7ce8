import { invalid, type UserRef } from '@kohort/contract';
import { type Cursors, pageOf, placeWithin } from '../../paging/cursors.ts';
import type { Database } from '../../postgres/database.ts';
import { completeHistory, sweepSome } from '../memberships/memberships.ts';
import { idOfSegment } from '../segments/segments.ts';
import { readUser } from '../users/users.ts';
import { type HistoryQuery, type HistoryRow, selectChanges, selectHistory } from './history.sql.ts';

export interface HistoryEvent {
  readonly at: Date;
  readonly slug: string;
  readonly action: HistoryRow['op'];
  readonly source: string;
  readonly expires_at: Date | null;
  readonly actor: string;
}

export interface SegmentChange extends Omit<HistoryEvent, 'slug'> {
  readonly user_id: number;
  readonly external_id: string | null;
}

export interface HistoryContext {
  readonly db: Database;
  readonly cursors: Cursors;
}

export interface HistoryPage extends Pick<HistoryQuery, 'from' | 'to' | 'segment' | 'keyTags'> {
  readonly limit?: number;
  readonly cursor?: string;
}

/** The source of a change: the mode of the override, or the bulk job that made the change. */
export function sourceOf({ mode, job }: Pick<HistoryRow, 'mode' | 'job'>): string {
  return job === null ? mode : `import:${job}`;
}

function checkRange(from: Date | undefined, to: Date | undefined): void {
  if (from && to && from > to) throw invalid('/query/from', 'must not be after to');
}

function placeOf(place: readonly (string | number)[] | undefined): HistoryQuery['before'] {
  return place && { at: new Date(Number(place[0])), seq: Number(place[1]) };
}

/** Changes of the overrides of one user, newest first. */
export async function historyOfUser(
  { db, cursors }: HistoryContext,
  ref: UserRef,
  { from, to, segment, keyTags, limit = 100, cursor }: HistoryPage,
): Promise<{ events: HistoryEvent[]; next_cursor: string | null }> {
  checkRange(from, to);
  const decoded = cursor === undefined ? undefined : cursors.decode('history', cursor);
  const { id } = await readUser(db, ref);
  const place = placeWithin(id, decoded);
  // Expired overrides are recorded late, by the sweep; readers see them as if recorded at once.
  if (!place) await completeHistory(db, id);
  const found = await selectHistory(db, id, {
    from,
    to,
    segment,
    keyTags,
    before: placeOf(place),
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

/** Changes of the overrides in one segment, newest first. */
export async function changesOfSegment(
  { db, cursors }: HistoryContext,
  slug: string,
  { from, to, limit = 100, cursor }: Pick<HistoryPage, 'from' | 'to' | 'limit' | 'cursor'>,
): Promise<{ changes: SegmentChange[]; next_cursor: string | null }> {
  checkRange(from, to);
  const decoded = cursor === undefined ? undefined : cursors.decode('changes', cursor);
  const id = await idOfSegment(db, slug);
  const place = placeWithin(id, decoded);
  // Records recent expiries first. If there are very many, the rest waits for the next sweep.
  if (!place) await sweepSome(db);
  const found = await selectChanges(db, id, { from, to, before: placeOf(place), limit: limit + 1 });
  const { rows, next_cursor } = pageOf(found, limit, ({ at, seq }) =>
    cursors.encode('changes', [id, at.getTime(), seq]),
  );
  const changes = rows.map((row) => ({
    at: row.at,
    user_id: row.user_id,
    external_id: row.external_id,
    action: row.op,
    source: sourceOf(row),
    expires_at: row.expires_at,
    actor: row.actor,
  }));
  return { changes, next_cursor };
}
