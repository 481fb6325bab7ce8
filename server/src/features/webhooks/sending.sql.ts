import sql from 'sql-template-tag';
import type { Db } from '../../postgres/database.ts';
import { lastChangeSql, type Position, tellsAfter } from '../feeds/feeds.ts';
import { isAsked, isBatch } from './webhooks.sql.ts';

/** Whoever sends to a webhook is named in its row, and everything that it writes asks for that. */
export interface Lease {
  readonly owner: string;
  readonly leaseMs: number;
}

const now = sql`statement_timestamp()`;
const inMs = (ms: number) => sql`statement_timestamp() + make_interval(secs => ${ms / 1_000})`;

/** Whether there is anybody to send to. */
export async function anyEnabled(db: Db): Promise<boolean> {
  const rows = await db.query<{ any: boolean }>(sql`SELECT EXISTS (SELECT FROM webhooks w WHERE w.enabled) AS any`);
  return rows[0]?.any ?? false;
}

/**
 * Leases some webhooks that have something to be sent now: those that fail, or the others, the one first that has waited
 * longest.
 */
export async function claimDue(
  db: Db,
  { owner, leaseMs }: Lease,
  { isFailing, limit }: { isFailing: boolean; limit: number },
): Promise<number[]> {
  const rows = await db.write<{ id: number }>(sql`
    WITH due AS MATERIALIZED (
      SELECT w.id
      FROM webhooks w
      WHERE (w.failures > 0) = ${isFailing} AND (w.leased_until IS NULL OR w.leased_until <= ${now})
        AND (
          EXISTS (SELECT FROM webhook_deliveries d WHERE d.webhook_id = w.id AND ${isAsked})
          OR w.enabled AND w.next_at <= ${now} AND (
            w.position_id IS NULL
            OR EXISTS (SELECT FROM webhook_deliveries d WHERE d.webhook_id = w.id AND ${isBatch})
            OR ${tellsAfter(sql`w.feed_id`, sql`w.position_id`)}
          )
        )
      ORDER BY w.next_at, w.id
      LIMIT ${limit}
      FOR UPDATE OF w SKIP LOCKED
    )
    UPDATE webhooks w SET lease_owner = ${owner}, leased_until = ${inMs(leaseMs)}
    FROM due
    WHERE w.id = due.id
    RETURNING w.id`);
  return rows.map(({ id }) => id);
}

/** Those that are leased by this owner still. */
export async function renewLeases(db: Db, { owner, leaseMs }: Lease, ids: readonly number[]): Promise<Set<number>> {
  const rows = await db.write<{ id: number }>(sql`
    UPDATE webhooks w SET leased_until = ${inMs(leaseMs)}
    WHERE w.id = ANY(${ids}::bigint[]) AND w.lease_owner = ${owner}
    RETURNING w.id`);
  return new Set(rows.map(({ id }) => id));
}

/** Not before so many milliseconds from now, if it was asked for; after the others that wait. */
export async function releaseLease(db: Db, owner: string, id: number, laterMs: number): Promise<void> {
  await db.write(sql`
    UPDATE webhooks w SET lease_owner = NULL, leased_until = NULL, next_at = greatest(w.next_at, ${inMs(laterMs)})
    WHERE w.id = ${id} AND w.lease_owner = ${owner}`);
}

/** What is to be sent, and where the changes begin that have not been delivered. */
export interface Leased {
  readonly feed_id: number;
  /** Whether a batch may be sent now. */
  readonly is_due: boolean;
  readonly position_id: number | null;
  readonly position_nonce: number | null;
}

export async function selectLeased(db: Db, owner: string, id: number): Promise<Leased | undefined> {
  const rows = await db.query<Leased>(sql`
    SELECT w.feed_id, w.enabled AND w.next_at <= ${now} AS is_due, w.position_id, w.position_nonce
    FROM webhooks w
    WHERE w.id = ${id} AND w.lease_owner = ${owner}`);
  return rows[0];
}

export interface PendingRow {
  readonly id: number;
  readonly message_id: string;
  readonly type: 'changes' | 'resync' | 'test';
  /** Whether a caller has asked for it. */
  readonly is_asked: boolean;
  readonly after_id: number | null;
  readonly after_nonce: number | null;
  readonly until_id: number | null;
  readonly until_nonce: number | null;
  readonly changes: number;
}

/** What callers have asked for goes first, in its order. */
export async function selectPending(db: Db, webhookId: number): Promise<PendingRow | undefined> {
  const rows = await db.query<PendingRow>(sql`
    SELECT d.id, d.message_id, d.type, ${isAsked} AS is_asked, d.after_id, d.after_nonce, d.until_id, d.until_nonce,
      d.changes
    FROM webhook_deliveries d
    WHERE d.webhook_id = ${webhookId} AND d.state = 'pending'
    ORDER BY is_asked DESC, d.id
    LIMIT 1`);
  return rows[0];
}

/** How a message is sent this time. */
export interface Attempt {
  readonly id: number;
  /** When the message was first written, by the database's clock as well. */
  readonly message_at: Date;
  /** By the database's clock. */
  readonly sent_at: Date;
  readonly url: string;
  /** Of the webhook, so far. */
  readonly failures: number;
  readonly secret: Buffer;
  /** Null unless it signs too. */
  readonly previous_secret: Buffer | null;
}

const attemptColumns = sql`d.id, coalesce(d.message_at, d.created_at) AS message_at, d.attempted_at AS sent_at, w.url, w.failures, w.secret,
  CASE WHEN w.previous_secret_until > ${now} THEN w.previous_secret END AS previous_secret`;

export interface NewBatch {
  readonly messageId: string;
  readonly type: 'changes' | 'resync';
  readonly after: Position | undefined;
  readonly until: Position;
  readonly changes: number;
  readonly oldestAt: Date | undefined;
}

/** Writes a batch down before it is sent, so that it is the same one under the same id after a crash. */
export async function insertBatch(
  db: Db,
  owner: string,
  webhookId: number,
  { messageId, type, after, until, changes, oldestAt }: NewBatch,
): Promise<Attempt | undefined> {
  const rows = await db.write<Attempt>(sql`
    WITH d AS (
      INSERT INTO webhook_deliveries
        (webhook_id, message_id, type, after_id, after_nonce, until_id, until_nonce, changes, oldest_at, attempts, attempted_at)
      SELECT w.id, ${messageId}, ${type}, ${after?.id ?? null}::bigint, ${after?.nonce ?? null}::integer, ${until.id},
        ${until.nonce}, ${changes}, ${oldestAt ?? null}::timestamptz, 1, ${now}
      FROM webhooks w
      WHERE w.id = ${webhookId} AND w.lease_owner = ${owner}
      RETURNING id, webhook_id, created_at, message_at, attempted_at
    )
    SELECT ${attemptColumns} FROM d JOIN webhooks w ON w.id = d.webhook_id`);
  return rows[0];
}

/** Undefined when the webhook is no longer leased, or the delivery has gone. */
export async function beginAttempt(db: Db, owner: string, id: number): Promise<Attempt | undefined> {
  const rows = await db.write<Attempt>(sql`
    UPDATE webhook_deliveries d SET attempts = d.attempts + 1, attempted_at = ${now}
    FROM webhooks w
    WHERE d.id = ${id} AND d.state = 'pending' AND w.id = d.webhook_id AND w.lease_owner = ${owner}
    RETURNING ${attemptColumns}`);
  return rows[0];
}

/** What came of an attempt. */
export interface Outcome {
  readonly status: number | null;
  /** Null for a success. */
  readonly error: string | null;
  readonly response: string | null;
  readonly durationMs: number;
}

const outcomeColumns = ({ status, error, response, durationMs }: Outcome) => sql`
  status = ${status}::integer, error = ${error}::text, response = ${response}::text, duration_ms = ${durationMs}::integer`;

/** Ends a batch, and moves the webhook to its last change. False when another process has the webhook. */
export async function recordDelivered(
  db: Db,
  owner: string,
  { webhookId, id, until, outcome }: { webhookId: number; id: number; until: Position; outcome: Outcome },
): Promise<boolean> {
  const rows = await db.write(sql`
    WITH hook AS (
      UPDATE webhooks w
      SET position_id = ${until.id}, position_nonce = ${until.nonce}, moved_at = ${now}, failures = 0, failing_since = NULL,
        next_at = ${now}
      WHERE w.id = ${webhookId} AND w.lease_owner = ${owner}
      RETURNING w.id
    )
    UPDATE webhook_deliveries d SET state = 'succeeded', finished_at = ${now}, ${outcomeColumns(outcome)}
    FROM hook
    WHERE d.webhook_id = hook.id AND d.id = ${id}
    RETURNING d.id`);
  return rows.length > 0;
}

export interface Failure {
  readonly webhookId: number;
  readonly id: number;
  readonly outcome: Outcome;
  /** Until the next attempt. */
  readonly pauseMs: number;
  /** Failing for longer than this disables the webhook. */
  readonly giveUpMs: number;
  /** The receiver wants no more. */
  readonly isGone: boolean;
}

/** Keeps a batch for the next attempt. */
export async function recordFailed(
  db: Db,
  owner: string,
  { webhookId, id, outcome, pauseMs, giveUpMs, isGone }: Failure,
): Promise<void> {
  const reason = sql`CASE
    WHEN ${isGone} THEN 'gone'
    WHEN w.failing_since <= statement_timestamp() - make_interval(secs => ${giveUpMs / 1_000}) THEN 'failing' END`;
  await db.write(sql`
    WITH hook AS (
      UPDATE webhooks w
      SET failures = w.failures + 1, failing_since = coalesce(w.failing_since, ${now}), next_at = ${inMs(pauseMs)},
        enabled = w.enabled AND ${reason} IS NULL, disabled_reason = coalesce(w.disabled_reason, ${reason})
      WHERE w.id = ${webhookId} AND w.lease_owner = ${owner}
      RETURNING w.id
    )
    UPDATE webhook_deliveries d SET ${outcomeColumns(outcome)}
    FROM hook
    WHERE d.webhook_id = hook.id AND d.id = ${id}`);
}

/** Ends what is sent once. A webhook that fails is tried again at once when its receiver turns out to be back. */
export async function recordAsked(
  db: Db,
  owner: string,
  { webhookId, id, outcome, isGone }: Omit<Failure, 'pauseMs' | 'giveUpMs'>,
): Promise<void> {
  await db.write(sql`
    WITH hook AS (
      UPDATE webhooks w
      SET next_at = CASE WHEN ${outcome.error === null} THEN least(w.next_at, ${now}) ELSE w.next_at END,
        enabled = w.enabled AND NOT ${isGone},
        disabled_reason = coalesce(w.disabled_reason, CASE WHEN ${isGone} THEN 'gone' END)
      WHERE w.id = ${webhookId} AND w.lease_owner = ${owner}
      RETURNING w.id
    )
    UPDATE webhook_deliveries d
    SET state = ${outcome.error === null ? 'succeeded' : 'failed'}, finished_at = ${now}, ${outcomeColumns(outcome)}
    FROM hook
    WHERE d.webhook_id = hook.id AND d.id = ${id}`);
}

/** Ends a delivery whose changes are not kept any more. */
export async function dropDelivery(db: Db, owner: string, id: number, error: string): Promise<void> {
  await db.write(sql`
    UPDATE webhook_deliveries d SET state = 'failed', finished_at = ${now}, error = ${error}
    FROM webhooks w
    WHERE d.id = ${id} AND w.id = d.webhook_id AND w.lease_owner = ${owner}`);
}

/** Passes over changes of other feeds. */
export async function movePosition(db: Db, owner: string, id: number, to: Position): Promise<void> {
  await db.write(sql`
    UPDATE webhooks w SET position_id = ${to.id}, position_nonce = ${to.nonce}, moved_at = ${now}
    WHERE w.id = ${id} AND w.lease_owner = ${owner}`);
}

/**
 * Moves webhooks that have been sent everything to the last change of all, so that the changes of other feeds are not looked
 * through again and again, and the change that a webhook stands at is not pruned.
 */
export async function movePositions(db: Db, { rows, minutes }: { rows: number; minutes: number }): Promise<void> {
  await db.write(sql`
    UPDATE webhooks w SET position_id = last.id, position_nonce = last.nonce, moved_at = ${now}
    FROM ${lastChangeSql} last
    WHERE w.position_id < last.id
      AND (last.id - w.position_id > ${rows} OR w.moved_at < ${now} - make_interval(mins => ${minutes}))
      AND w.lease_owner IS NULL
      AND NOT EXISTS (SELECT FROM webhook_deliveries d WHERE d.webhook_id = w.id AND ${isBatch})
      AND NOT ${tellsAfter(sql`w.feed_id`, sql`w.position_id`)}`);
}
