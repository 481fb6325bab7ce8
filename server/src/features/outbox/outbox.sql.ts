import type { ChangeCause } from '@kohort/contract';
import sql, { type Sql } from 'sql-template-tag';
import type { Db, Tx } from '../../postgres/database.ts';
import type { Mode } from '../../segmentation/decide.ts';

/**
 * `override`: what stands between a user and a segment has changed. `attributes`: those of a user, or they were registered.
 * `erasure`: a user is gone, with all of theirs. `definition`: of a segment, which may be gone.
 */
export type EventKind = 'override' | 'attributes' | 'erasure' | 'definition';

/** What is known of a change of a definition. */
export interface DefinitionDetails {
  /** Its version from then on. */
  readonly version: number;
  /** Whether it may move members. */
  readonly decides: boolean;
  /** Whether transactions may be under way that do not record what matters to the segment from now on. */
  readonly waits: boolean;
  /** The definition on both sides of the change, as on the wire. */
  readonly before: object | null;
  readonly after: object | null;
}

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
  /** One of many that were written together: it comes to where its user stands by the time that it is told. */
  readonly bulk: boolean;
  /** Of a user who is gone. */
  readonly external_id: string | null;
  /** Of a definition. */
  readonly details: DefinitionDetails | null;
}

/** As text, since it is part of statements whose text never varies. */
const lane = (bulk: boolean) => (bulk ? sql`true` : sql`false`);

/**
 * Part of a statement that changes overrides: records those that matter to a feed. `rows` are those changes, with the columns
 * segment_id, user_id, mode, at, cause and actor, of followed segments alone. The writer has the lock on the user, or on
 * the pair, so that the numbers of one pair's events are drawn in the order of its changes.
 */
export function overrideEvents(rows: Sql, { bulk = false } = {}): Sql {
  return sql`
    INSERT INTO feed_events (kind, segment_id, user_id, mode, at, cause, actor, bulk)
    SELECT 'override', r.segment_id, r.user_id, r.mode, r.at, r.cause, r.actor, ${lane(bulk)} FROM (${rows}) r`;
}

/** Why users were registered or changed, and by whom. */
export interface UserEventsBy {
  readonly cause: 'attributes' | 'import';
  readonly actor: string;
}

/**
 * Part of a statement that registers users or changes their attributes: records it where a followed segment has a rule. `rows` are
 * those users, with the columns user_id and at; they are locked.
 */
export function userEvents(rows: Sql, { cause, actor }: UserEventsBy): Sql {
  return sql`
    INSERT INTO feed_events (kind, user_id, at, cause, actor, bulk)
    SELECT 'attributes', r.user_id, r.at, ${cause}::text, ${actor}::text, ${lane(cause === 'import')}
    FROM (${rows}) r
    WHERE EXISTS (
      SELECT FROM feed_segments f JOIN segments s ON s.id = f.segment_id
      WHERE num_nonnulls(s.percentage, s.ramp, s.layer_id, s.condition) > 0
    )`;
}

/** Part of a statement that deletes users: `rows` are those, with the columns id and external_id. */
export function erasureEvents(rows: Sql, actor: string): Sql {
  return sql`
    INSERT INTO feed_events (kind, user_id, external_id, at, cause, actor)
    SELECT 'erasure', r.id, r.external_id, date_trunc('milliseconds', clock_timestamp()), 'erasure', ${actor}::text
    FROM (${rows}) r
    WHERE EXISTS (SELECT FROM feed_segments)`;
}

/** Whether there is a feed at all. The transaction has the lock on definitions, which the creation of a feed waits for. */
export async function hasFeeds(tx: Tx): Promise<boolean> {
  return (await tx.query(sql`SELECT FROM feeds f LIMIT 1`)).length > 0;
}

/** The transaction has changed the definition. */
export async function recordDefinition(
  tx: Tx,
  segmentId: number,
  { at, actor, ...details }: DefinitionDetails & { readonly at: Date; readonly actor: string },
): Promise<void> {
  await tx.write(sql`
    INSERT INTO feed_events (kind, segment_id, at, actor, details)
    SELECT 'definition', ${segmentId}::bigint, ${at}::timestamptz, ${actor}, ${JSON.stringify(details)}::jsonb`);
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
 * Takes the first events there are, single ones or those of many. One that is committed late, under an earlier number, is
 * taken late: until then whoever wrote it has the lock on what it is about. With single ones come all definitions.
 */
export function takeEvents(tx: Tx, { bulk, limit }: { bulk: boolean; limit: number }): Promise<FeedEvent[]> {
  return tx.write<FeedEvent>(sql`
    WITH taken AS (
      DELETE FROM feed_events e
      WHERE e.seq = ANY(ARRAY(
        SELECT f.seq FROM feed_events f WHERE ${bulk ? sql`f.bulk` : sql`NOT f.bulk`} ORDER BY f.seq LIMIT ${limit}
      )) OR ${lane(!bulk)} AND e.kind = 'definition'
      RETURNING e.seq, e.kind, e.segment_id, e.user_id, e.mode, e.at, e.cause, e.actor, e.bulk, e.external_id, e.details
    )
    SELECT t.kind, t.segment_id, t.user_id, t.mode, t.at, t.cause, t.actor, t.bulk, t.external_id, t.details
    FROM taken t
    ORDER BY t.seq`);
}

/** Those of the users of whom more events wait. */
export async function selectWaiting(db: Db, userIds: readonly number[]): Promise<ReadonlySet<number>> {
  const rows = await db.query<{ user_id: number }>(sql`
    SELECT DISTINCT e.user_id FROM feed_events e WHERE e.user_id = ANY(${userIds}::bigint[])`);
  return new Set(rows.map(({ user_id }) => user_id));
}
