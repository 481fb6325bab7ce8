import type { ChangeCause } from '@kohort/contract';
import sql, { type Sql } from 'sql-template-tag';
import type { Db, Tx } from '../../postgres/database.ts';
import type { Mode } from '../../segmentation/decide.ts';

/** `override`: what stands between a user and a segment has changed. `erasure`: a user is gone, with all of theirs. */
export type EventKind = 'override' | 'erasure';

/** Something that feeds may have to tell. */
export interface FeedEvent {
  readonly kind: EventKind;
  readonly segment_id: number | null;
  readonly user_id: number | null;
  /** Of an override: what stands from now on. Null for none. */
  readonly mode: Mode | null;
  readonly at: Date;
  /** Null for a single change by a call, whose cause follows from what it does. */
  readonly cause: ChangeCause | null;
  readonly actor: string;
  /** Of a user who is gone. */
  readonly external_id: string | null;
}

/**
 * Part of a statement that changes overrides: records those that matter to a feed. `rows` are those changes, with the columns
 * segment_id, user_id, mode, at, cause and actor, of followed segments alone. The writer has the lock on the user, or on
 * the pair, so that the numbers of one pair's events are drawn in the order of its changes.
 */
export function overrideEvents(rows: Sql): Sql {
  return sql`
    INSERT INTO feed_events (kind, segment_id, user_id, mode, at, cause, actor)
    SELECT 'override', r.segment_id, r.user_id, r.mode, r.at, r.cause, r.actor FROM (${rows}) r`;
}

/** The transaction has locked the user, and deletes them. */
export async function recordErasure(tx: Tx, userId: number, actor: string): Promise<void> {
  await tx.write(sql`
    INSERT INTO feed_events (kind, user_id, external_id, at, cause, actor)
    SELECT 'erasure', u.id, u.external_id, date_trunc('milliseconds', clock_timestamp()), 'erasure', ${actor}
    FROM users u
    WHERE u.id = ${userId} AND EXISTS (SELECT FROM feed_segments)`);
}

/**
 * Takes the first events there are. One that is committed later, under an earlier number, is taken later: until then
 * whoever wrote it has the lock on what it is about.
 */
export async function takeEvents(db: Db, limit: number): Promise<FeedEvent[]> {
  const rows = await db.write<FeedEvent & { seq: number }>(sql`
    WITH taken AS (
      DELETE FROM feed_events e
      WHERE e.seq = ANY(ARRAY(SELECT f.seq FROM feed_events f ORDER BY f.seq LIMIT ${limit}))
      RETURNING e.seq, e.kind, e.segment_id, e.user_id, e.mode, e.at, e.cause, e.actor, e.external_id
    )
    SELECT * FROM taken ORDER BY seq`);
  return rows;
}
