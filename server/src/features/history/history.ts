import { invalid, type UserRef } from '@kohort/contract';
import { type Cursors, pageOf, placeWithin } from '../../paging/cursors.ts';
import type { Database } from '../../postgres/database.ts';
import { completeHistory } from '../memberships/write/expiry-and-purge.ts';
import type { Users } from '../users/users.ts';
import { type HistoryRow, selectHistory } from './history.sql.ts';

export interface HistoryEvent {
  readonly at: Date;
  readonly slug: string;
  readonly action: HistoryRow['op'];
  readonly source: string;
  readonly expires_at: Date | null;
  readonly actor: string;
}

export interface History {
  ofUser(
    user: UserRef,
    query: {
      from: Date | undefined;
      to: Date | undefined;
      segment: string | undefined;
      limit?: number;
      cursor?: string;
    },
  ): Promise<{ events: HistoryEvent[]; next_cursor: string | null }>;
}

/** Where a change came from: which way it set the override, or the bulk job that did. */
export function sourceOf({ mode, job }: Pick<HistoryRow, 'mode' | 'job'>): string {
  return job === null ? mode : `import:${job}`;
}

export function createHistory({ db, cursors, users }: { db: Database; cursors: Cursors; users: Users }): History {
  return {
    async ofUser(ref, { from, to, segment, limit = 100, cursor }) {
      if (from && to && from > to) throw invalid('/query/from', 'must not be after to');
      const decoded = cursor === undefined ? undefined : cursors.decode('history', cursor);
      const { id } = await users.read(ref);
      const place = placeWithin(id, decoded);
      // What ended by itself is written down late; whoever asks sees it as if it had been written at once.
      if (!place) await completeHistory(db, id);
      const found = await selectHistory(db, id, {
        from,
        to,
        segment,
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
    },
  };
}
