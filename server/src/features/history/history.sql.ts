import sql, { type Sql } from 'sql-template-tag';
import type { Db } from '../../postgres/database.ts';
import { inForm } from '../../postgres/forms.ts';
import { selectPeople } from '../users/users.ts';

export interface HistoryRow {
  readonly seq: number;
  readonly at: Date;
  readonly slug: string;
  readonly op: 'add' | 'update' | 'remove' | 'expire';
  readonly mode: 'include' | 'exclude';
  readonly job: number | null;
  readonly expires_at: Date | null;
  readonly actor: string;
}

export interface HistoryQuery {
  readonly from: Date | undefined;
  /** Exclusive. */
  readonly to: Date | undefined;
  /** The current slug, or the last one of a deleted segment. */
  readonly segment: string | undefined;
  /** The tags of the caller's key: changes of other segments are left out. */
  readonly keyTags: readonly string[] | undefined;
  readonly before: { readonly at: Date; readonly seq: number } | undefined;
  readonly limit: number;
}

/** Changes of one user's overrides, newest first. */
export function selectHistory(
  db: Db,
  userId: number,
  { from, to, segment, keyTags, before, limit }: HistoryQuery,
): Promise<HistoryRow[]> {
  return db.query<HistoryRow>(sql`
    SELECT h.seq, h.at, s.slug, h.op, h.mode, h.job, h.expires_at, h.actor
    FROM history h JOIN segments s ON s.id = h.segment_id
    WHERE h.user_id = ${userId}
      AND (${from}::timestamptz IS NULL OR h.at >= ${from})
      AND (${to}::timestamptz IS NULL OR h.at < ${to})
      AND (${segment}::text IS NULL OR s.slug = ${segment})
      AND (${keyTags}::text[] IS NULL OR s.tags && ${keyTags}::text[])
      AND (${before?.at}::timestamptz IS NULL OR (h.at, h.seq) < (${before?.at}, ${before?.seq}::bigint))
    ORDER BY h.at DESC, h.seq DESC
    LIMIT ${limit}`);
}

export interface ChangeRow extends Omit<HistoryRow, 'slug'> {
  readonly user_id: number;
  readonly external_id: string | null;
}

export type ChangesQuery = Pick<HistoryQuery, 'from' | 'to' | 'before' | 'limit'>;

/** Changes of the overrides in one segment, newest first. The page is cut out by index before its users are looked up. */
export function selectChanges(db: Db, segmentId: number, query: ChangesQuery): Promise<ChangeRow[]> {
  const page = changesPage(segmentId, query);
  return inForm(db, {
    single: () =>
      db.query<ChangeRow>(sql`
        SELECT h.seq, h.at, h.user_id, u.external_id, h.op, h.mode, h.job, h.expires_at, h.actor
        FROM (${page}) h LEFT JOIN users u ON u.id = h.user_id
        ORDER BY h.at DESC, h.seq DESC`),
    distributed: async () => {
      const rows = await db.query<Omit<ChangeRow, 'external_id'>>(page);
      const people = await selectPeople(
        db,
        rows.map(({ user_id }) => user_id),
      );
      return rows.map((row) => ({ ...row, external_id: people.get(row.user_id)?.external_id ?? null }));
    },
  });
}

function changesPage(segmentId: number, { from, to, before, limit }: ChangesQuery): Sql {
  return sql`
    SELECT h.seq, h.at, h.user_id, h.op, h.mode, h.job, h.expires_at, h.actor
    FROM history h
    WHERE h.segment_id = ${segmentId}
      AND h.at >= coalesce(${from}::timestamptz, '-infinity') AND h.at < coalesce(${to}::timestamptz, 'infinity')
      AND (h.at, h.seq) < (coalesce(${before?.at}::timestamptz, 'infinity'), coalesce(${before?.seq}::bigint, 0))
    ORDER BY h.at DESC, h.seq DESC
    LIMIT ${limit}`;
}
