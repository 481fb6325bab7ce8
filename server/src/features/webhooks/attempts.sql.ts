import sql from 'sql-template-tag';
import type { Db } from '../../postgres/database.ts';
import type { Position } from '../feeds/feeds.ts';
import { inMs, isAsked, now } from './webhooks.sql.ts';

export interface PendingRow {
  readonly id: number;
  readonly message_id: string;
  readonly type: 'changes' | 'resync' | 'test';
  /** Whether a caller asked for it: a test or a replay. */
  readonly is_asked: boolean;
  readonly after_id: number | null;
  readonly after_nonce: number | null;
  readonly until_id: number | null;
  readonly until_nonce: number | null;
  readonly changes: number;
}

/** Tests and replays go first, in the order of the calls. */
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

/** The data of one attempt to send a message. */
export interface Attempt {
  readonly id: number;
  /** When the message was first written, by the database's clock. */
  readonly message_at: Date;
  /** By the database's clock. */
  readonly sent_at: Date;
  readonly url: string;
  /** Consecutive failures of the webhook so far. */
  readonly failures: number;
  readonly secret: Buffer;
  /** Null unless a rotation is in progress and it signs too. */
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

/** Stores a batch before it is sent, so that it is the same batch under the same id after a crash. */
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

/** Undefined if the lease is lost or the delivery is gone. */
export async function beginAttempt(db: Db, owner: string, id: number): Promise<Attempt | undefined> {
  const rows = await db.write<Attempt>(sql`
    UPDATE webhook_deliveries d SET attempts = d.attempts + 1, attempted_at = ${now}
    FROM webhooks w
    WHERE d.id = ${id} AND d.state = 'pending' AND w.id = d.webhook_id AND w.lease_owner = ${owner}
    RETURNING ${attemptColumns}`);
  return rows[0];
}

/** The outcome of an attempt. */
export interface Outcome {
  readonly status: number | null;
  /** Null for a success. */
  readonly error: string | null;
  readonly response: string | null;
  readonly durationMs: number;
}

const outcomeColumns = ({ status, error, response, durationMs }: Outcome) => sql`
  status = ${status}::integer, error = ${error}::text, response = ${response}::text, duration_ms = ${durationMs}::integer`;

/** Ends a batch, and moves the webhook to its last change. False if another process leases the webhook. */
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
  /** The pause before the next attempt. */
  readonly pauseMs: number;
  /** Failing for longer than this disables the webhook. */
  readonly giveUpMs: number;
  /** The receiver answered 410. */
  readonly isGone: boolean;
}

/** Records the failure, and keeps the batch for the next attempt. */
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

/** Ends a test or replay, which is sent once. If it succeeds, a failing webhook is retried at once. */
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

/** Fails a delivery whose changes have been deleted. */
export async function dropDelivery(db: Db, owner: string, id: number, error: string): Promise<void> {
  await db.write(sql`
    UPDATE webhook_deliveries d SET state = 'failed', finished_at = ${now}, error = ${error}
    FROM webhooks w
    WHERE d.id = ${id} AND w.id = d.webhook_id AND w.lease_owner = ${owner}`);
}
