import sql from 'sql-template-tag';
import type { Tx } from '../../postgres/database.ts';
import { stands } from '../memberships/memberships.ts';

/** The value of `filled_to` once all users are covered. */
export const lastUserId = Number.MAX_SAFE_INTEGER;

/** A segment that is being filled: up to which user, and the transactions that were writing when a feed first followed it. */
export interface Unfilled {
  readonly segment_id: number;
  readonly filled_to: number;
  readonly writers: readonly string[] | null;
}

export async function selectUnfilled(tx: Tx): Promise<Unfilled | undefined> {
  const rows = await tx.query<Unfilled>(sql`
    SELECT s.segment_id, s.filled_to, s.writers FROM feed_segments s
    WHERE s.filled_to < ${lastUserId} AND NOT s.is_forgotten
    ORDER BY s.segment_id
    LIMIT 1`);
  return rows[0];
}

/**
 * The transactions that are writing memberships or users. A statement locks its tables before it takes its snapshot, so a writer
 * that missed the commit which made a segment followed is still in this list after that commit.
 */
export async function selectWriters(tx: Tx): Promise<string[]> {
  const rows = await tx.query<{ virtualtransaction: string }>(sql`
    SELECT DISTINCT l.virtualtransaction
    FROM pg_locks l
    WHERE l.locktype = 'relation' AND l.mode = 'RowExclusiveLock' AND l.pid <> pg_backend_pid()
      AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
      AND l.relation IN ('memberships'::regclass, 'users'::regclass)`);
  return rows.map(({ virtualtransaction }) => virtualtransaction);
}

export async function updateWriters(tx: Tx, segmentId: number, writers: readonly string[]): Promise<void> {
  await tx.write(sql`
    UPDATE feed_segments s SET writers = ${writers}::text[] WHERE s.segment_id = ${segmentId}`);
}

/**
 * Stores the next members of a list as published, without a change. Returns the last of them; undefined if there were fewer
 * than `limit`. One snapshot includes the events that were taken before, and later ones are published.
 */
export async function fillList(
  tx: Tx,
  segmentId: number,
  { after, limit, at }: { after: number; limit: number; at: Date },
): Promise<number | undefined> {
  const found = await tx.query<{ user_id: number; is_in: boolean }>(sql`
    SELECT m.user_id, m.mode = 'include' AND ${stands(sql`m`, sql`${at}::timestamptz`)} AS is_in
    FROM memberships m
    WHERE m.segment_id = ${segmentId} AND m.user_id > ${after}
    ORDER BY m.user_id
    LIMIT ${limit}`);
  const last = found.length === limit ? found.at(-1)?.user_id : undefined;
  const members = found.filter(({ is_in }) => is_in).map(({ user_id }) => user_id);
  // Left over from an earlier time when the segment was followed.
  await tx.write(sql`
    DELETE FROM feed_members t
    WHERE t.segment_id = ${segmentId} AND t.user_id > ${after} AND t.user_id <= ${last ?? lastUserId}
      AND t.user_id <> ALL(${members}::bigint[])`);
  await tx.write(sql`
    INSERT INTO feed_members (segment_id, user_id) SELECT ${segmentId}::bigint, f.id FROM unnest(${members}::bigint[]) AS f(id)
    ON CONFLICT ON CONSTRAINT feed_members_pkey DO NOTHING`);
  return last;
}

export async function updateFilled(tx: Tx, segmentId: number, to: number): Promise<void> {
  await tx.write(sql`UPDATE feed_segments s SET filled_to = ${to} WHERE s.segment_id = ${segmentId}`);
}

/** Begins the feeds that have waited for this segment. */
export async function beginFeedsOf(tx: Tx, segmentId: number): Promise<void> {
  await tx.write(sql`
    UPDATE feeds f SET begins_after = (SELECT max(c.id) FROM feed_changes c)
    FROM feed_follows w
    WHERE w.segment_id = ${segmentId} AND w.initial AND w.until_id IS NULL AND f.id = w.feed_id`);
}
