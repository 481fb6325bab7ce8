import type { ChangeCause } from '@kohort/contract';
import sql, { type Sql } from 'sql-template-tag';
import type { Db, Tx } from '../../postgres/database.ts';
import type { Mode } from '../../segmentation/overrides.ts';

/**
 * `override`: the override of a user in a segment has changed. `attributes`: a user was registered or their attributes have
 * changed. `erasure`: a user was erased. `definition`: a segment was created, changed or deleted.
 */
export type EventKind = 'override' | 'attributes' | 'erasure' | 'definition';

/** The details of a change of a definition. */
export interface DefinitionDetails {
  /** The version after the change. */
  readonly version: number;
  /** Whether it may move members. */
  readonly decides: boolean;
  /** Whether transactions may be running that do not record the events this segment needs from now on. */
  readonly waits: boolean;
  /** The definition before and after the change, in wire form. */
  readonly before: object | null;
  readonly after: object | null;
}

/** An event from which changes of feeds are derived. */
export interface FeedEvent {
  readonly seq: number;
  readonly kind: EventKind;
  readonly segment_id: number | null;
  readonly user_id: number | null;
  /** Of an override: its mode after the change. Null for none. */
  readonly mode: Mode | null;
  readonly at: Date;
  /** Null for a single change by a call, whose cause is the operation itself. */
  readonly cause: ChangeCause | null;
  readonly actor: string;
  /** One of many events written together. Its user is evaluated as of the time of publishing. */
  readonly bulk: boolean;
  /** Of an erased user. */
  readonly external_id: string | null;
  /** Of a definition. */
  readonly details: DefinitionDetails | null;
}

/** As a literal, so that the text of the statement never varies. */
const lane = (bulk: boolean) => (bulk ? sql`true` : sql`false`);

/**
 * Part of a statement that changes overrides: records the changes in followed segments. `rows` are those changes, with the
 * columns segment_id, user_id, mode, at, cause and actor. The writer holds the lock on the user, or on the pair, so that the
 * numbers of one pair's events are in the order of its changes.
 */
export function overrideEvents(rows: Sql, { bulk = false } = {}): Sql {
  return sql`
    INSERT INTO feed_events (kind, segment_id, user_id, mode, at, cause, actor, bulk)
    SELECT 'override', r.segment_id, r.user_id, r.mode, r.at, r.cause, r.actor, ${lane(bulk)} FROM (${rows}) r`;
}

/** The cause and actor of the registration or change of users. */
export interface UserEventsBy {
  readonly cause: 'attributes' | 'import';
  readonly actor: string;
}

/**
 * Part of a statement that registers users or changes their attributes: records them if any followed segment has a rule. `rows`
 * are those users, with the columns user_id and at. The writer has locked them.
 */
export function userEvents(rows: Sql, { cause, actor }: UserEventsBy): Sql {
  return sql`
    INSERT INTO feed_events (kind, user_id, at, cause, actor, bulk)
    SELECT 'attributes', r.user_id, r.at, ${cause}::text, ${actor}::text, ${lane(cause === 'import')}
    FROM (${rows}) r
    WHERE EXISTS (
      SELECT 1 FROM feed_segments f JOIN segments s ON s.id = f.segment_id
      WHERE num_nonnulls(s.percentage, s.ramp, s.layer_id, s.condition) > 0
    )`;
}

/** Part of a statement that deletes users: `rows` are those, with the columns id and external_id. */
export function erasureEvents(rows: Sql, actor: string): Sql {
  return sql`
    INSERT INTO feed_events (kind, user_id, external_id, at, cause, actor)
    SELECT 'erasure', r.id, r.external_id, date_trunc('milliseconds', clock_timestamp()), 'erasure', ${actor}::text
    FROM (${rows}) r
    WHERE EXISTS (SELECT 1 FROM feed_segments)`;
}

/** Whether any feed exists. The transaction holds the lock on definitions, so no feed can be created meanwhile. */
export async function hasFeeds(tx: Tx): Promise<boolean> {
  return (await tx.query(sql`SELECT FROM feeds f LIMIT 1`)).length > 0;
}

/** Called in the transaction that changes the definition. */
export async function recordDefinition(
  tx: Tx,
  segmentId: number,
  { at, actor, ...details }: DefinitionDetails & { readonly at: Date; readonly actor: string },
): Promise<void> {
  await tx.write(sql`
    INSERT INTO feed_events (kind, segment_id, at, actor, details)
    SELECT 'definition', ${segmentId}::bigint, ${at}::timestamptz, ${actor}, ${JSON.stringify(details)}::jsonb`);
}

/** Called in the transaction that deletes the user, after it has locked them. */
export async function recordErasure(tx: Tx, userId: number, actor: string): Promise<void> {
  if (tx.isDistributed) {
    const user = sql`SELECT u.id, u.external_id FROM users u WHERE u.id = ${userId}`;
    const [found] = await tx.query<{ id: number; external_id: string | null }>(user);
    const rows = sql`SELECT ${found?.id ?? null}::bigint AS id, ${found?.external_id ?? null}::text AS external_id`;
    if (found) await tx.write(erasureEvents(rows, actor));
    return;
  }
  await tx.write(sql`
    INSERT INTO feed_events (kind, user_id, external_id, at, cause, actor)
    SELECT 'erasure', u.id, u.external_id, date_trunc('milliseconds', clock_timestamp()), 'erasure', ${actor}
    FROM users u
    WHERE u.id = ${userId} AND EXISTS (SELECT 1 FROM feed_segments)`);
}

const takenColumns = sql`t.seq, t.kind, t.segment_id, t.user_id, t.mode, t.at, t.cause, t.actor, t.bulk, t.external_id, t.details`;

/**
 * Takes the first events, either single or bulk. An event that commits late, under an earlier number, is taken late: until then
 * its writer holds the lock on its subject.
 */
export function takeEvents(tx: Tx, { bulk, limit }: { bulk: boolean; limit: number }): Promise<FeedEvent[]> {
  return tx.write<FeedEvent>(sql`
    WITH taken AS (
      DELETE FROM feed_events e
      WHERE e.seq = ANY(ARRAY(
        SELECT f.seq FROM feed_events f WHERE ${bulk ? sql`f.bulk` : sql`NOT f.bulk`} ORDER BY f.seq LIMIT ${limit}
      ))
      RETURNING e.*
    )
    SELECT ${takenColumns} FROM taken t ORDER BY t.seq`);
}

/** Takes the first changes of definitions there are. Each may be megabytes. */
export function takeDefinitions(tx: Tx, limit: number): Promise<FeedEvent[]> {
  return tx.write<FeedEvent>(sql`
    WITH taken AS (
      DELETE FROM feed_events e
      WHERE e.seq = ANY(ARRAY(
        SELECT f.seq FROM feed_events f WHERE f.kind = 'definition' ORDER BY f.seq LIMIT ${limit}
      ))
      RETURNING e.*
    )
    SELECT ${takenColumns} FROM taken t ORDER BY t.seq`);
}

/** The users among these who have more events in the outbox. */
export async function selectWaiting(db: Db, userIds: readonly number[]): Promise<ReadonlySet<number>> {
  const rows = await db.query<{ user_id: number }>(sql`
    SELECT DISTINCT e.user_id FROM feed_events e WHERE e.user_id = ANY(${userIds}::bigint[])`);
  return new Set(rows.map(({ user_id }) => user_id));
}

/** The first moment of an event of each of these users, other than those taken: others see them until the transaction ends. */
export async function selectFirstEvents(
  db: Db,
  userIds: readonly number[],
  taken: readonly FeedEvent[],
): Promise<ReadonlyMap<number, Date>> {
  const rows = await db.query<{ user_id: number; at: Date }>(sql`
    SELECT e.user_id, min(e.at) AS at FROM feed_events e
    WHERE e.user_id = ANY(${userIds}::bigint[]) AND e.seq <> ALL(${taken.map(({ seq }) => seq)}::bigint[])
    GROUP BY e.user_id`);
  return new Map(rows.map(({ user_id, at }) => [user_id, at]));
}
