import sql from 'sql-template-tag';
import type { Db } from '../../postgres/database.ts';
import type { Position } from '../feeds/feeds.ts';

export interface WebhookRow {
  readonly id: number;
  readonly url: string;
  readonly feed: number;
  readonly enabled: boolean;
  readonly disabled_reason: 'paused' | 'gone' | 'failing' | null;
  readonly failures: number;
  readonly failing_since: Date | null;
  readonly next_attempt_at: Date | null;
  readonly lag_seconds: number;
  readonly previous_secret_until: Date | null;
  readonly created_by: string;
  readonly created_at: Date;
}

export const now = sql`statement_timestamp()`;
export const inMs = (ms: number) => sql`statement_timestamp() + make_interval(secs => ${ms / 1_000})`;

/** A pending delivery that is the current batch. */
export const isBatch = sql`d.state = 'pending' AND d.type <> 'test' AND d.replay_of IS NULL`;
/** A pending delivery that a caller asked for: a test or a replay. */
export const isAsked = sql`d.state = 'pending' AND (d.type = 'test' OR d.replay_of IS NOT NULL)`;

const lag = sql`coalesce((
    SELECT greatest(extract(epoch FROM statement_timestamp() - d.oldest_at)::float8, 0)
    FROM webhook_deliveries d
    WHERE d.webhook_id = w.id AND ${isBatch}
  ), 0)`;

const columns = sql`w.id, w.url, w.feed_id AS feed, w.enabled, w.disabled_reason, w.failures, w.failing_since,
  CASE WHEN w.enabled AND w.failures > 0 THEN w.next_at END AS next_attempt_at, ${lag} AS lag_seconds,
  CASE WHEN w.previous_secret_until > statement_timestamp() THEN w.previous_secret_until END AS previous_secret_until,
  w.created_by, w.created_at`;

export interface NewRow {
  readonly url: string;
  readonly feed: number;
  readonly secret: Buffer;
  /** Undefined: the beginning of the feed. */
  readonly position: Position | undefined;
  readonly createdBy: string;
}

/** Undefined if the limit on webhooks is reached. */
export async function insertWebhook(
  db: Db,
  { url, feed, secret, position, createdBy }: NewRow,
  atMost: number,
): Promise<WebhookRow | undefined> {
  const rows = await db.write<WebhookRow>(sql`
    INSERT INTO webhooks AS w (url, feed_id, secret, position_id, position_nonce, created_by)
    SELECT ${url}, ${feed}, ${secret}::bytea, ${position?.id ?? null}::bigint, ${position?.nonce ?? null}::integer, ${createdBy}
    WHERE (SELECT count(*) FROM webhooks) < ${atMost}
    RETURNING ${columns}`);
  return rows[0];
}

export async function selectWebhook(db: Db, id: number): Promise<WebhookRow | undefined> {
  const rows = await db.query<WebhookRow>(sql`SELECT ${columns} FROM webhooks w WHERE w.id = ${id}`);
  return rows[0];
}

export function selectWebhooks(db: Db, { after, limit }: { after: number; limit: number }): Promise<WebhookRow[]> {
  return db.query<WebhookRow>(sql`
    SELECT ${columns} FROM webhooks w WHERE w.id > ${after} ORDER BY w.id LIMIT ${limit}`);
}

/** Null keeps a value. After a change the webhook is retried at once. */
export async function updateWebhook(
  db: Db,
  id: number,
  { url, enabled }: { url: string | null; enabled: boolean | null },
): Promise<WebhookRow | undefined> {
  const rows = await db.write<WebhookRow>(sql`
    UPDATE webhooks w
    SET url = coalesce(${url}::text, w.url),
      enabled = coalesce(${enabled}::boolean, w.enabled),
      disabled_reason = CASE ${enabled}::boolean
        WHEN true THEN NULL WHEN false THEN coalesce(w.disabled_reason, 'paused') ELSE w.disabled_reason END,
      failures = CASE WHEN ${enabled}::boolean THEN 0 ELSE w.failures END,
      failing_since = CASE WHEN ${enabled}::boolean THEN NULL ELSE w.failing_since END,
      next_at = statement_timestamp()
    WHERE w.id = ${id}
    RETURNING ${columns}`);
  return rows[0];
}

export async function deleteWebhookRow(db: Db, id: number): Promise<boolean> {
  return (await db.write(sql`DELETE FROM webhooks w WHERE w.id = ${id} RETURNING w.id`)).length > 0;
}

/** The old secret signs beside the new one for a day. */
export async function replaceSecret(
  db: Db,
  id: number,
  secret: Buffer,
): Promise<{ previous_secret_until: Date } | undefined> {
  const rows = await db.write<{ previous_secret_until: Date }>(sql`
    UPDATE webhooks w
    SET previous_secret = w.secret, previous_secret_until = statement_timestamp() + interval '1 day', secret = ${secret}::bytea
    WHERE w.id = ${id}
    RETURNING w.previous_secret_until`);
  return rows[0];
}

export interface DeliveryRow {
  readonly id: number;
  readonly message_id: string;
  readonly type: 'changes' | 'resync' | 'test';
  readonly replay_of: number | null;
  readonly state: 'pending' | 'succeeded' | 'failed';
  readonly changes: number;
  readonly attempts: number;
  readonly status: number | null;
  readonly error: string | null;
  readonly response: string | null;
  readonly duration_ms: number | null;
  readonly created_at: Date;
  readonly attempted_at: Date | null;
  readonly finished_at: Date | null;
}

const deliveryColumns = sql`d.id, d.message_id, d.type, d.replay_of, d.state, d.changes, d.attempts, d.status, d.error,
  d.response, d.duration_ms, d.created_at, d.attempted_at, d.finished_at`;

/** Newest first. */
export function selectDeliveries(
  db: Db,
  webhookId: number,
  { before, limit }: { before: number; limit: number },
): Promise<DeliveryRow[]> {
  return db.query<DeliveryRow>(sql`
    SELECT ${deliveryColumns} FROM webhook_deliveries d
    WHERE d.webhook_id = ${webhookId} AND d.id < ${before}
    ORDER BY d.id DESC
    LIMIT ${limit}`);
}

export async function selectDelivery(db: Db, webhookId: number, id: number): Promise<DeliveryRow | undefined> {
  const rows = await db.query<DeliveryRow>(sql`
    SELECT ${deliveryColumns} FROM webhook_deliveries d WHERE d.id = ${id} AND d.webhook_id = ${webhookId}`);
  return rows[0];
}

const hasRoom = (webhookId: number, atMost: number) => sql`(
  SELECT count(*) FROM webhook_deliveries d WHERE d.webhook_id = ${webhookId} AND ${isAsked}) < ${atMost}`;

/** Undefined if `atMost` tests and replays are pending already. */
export async function insertTest(
  db: Db,
  webhookId: number,
  messageId: string,
  atMost: number,
): Promise<DeliveryRow | undefined> {
  const rows = await db.write<DeliveryRow>(sql`
    INSERT INTO webhook_deliveries AS d (webhook_id, message_id, type)
    SELECT ${webhookId}, ${messageId}, 'test' WHERE ${hasRoom(webhookId, atMost)}
    RETURNING ${deliveryColumns}`);
  return rows[0];
}

/** Undefined if `atMost` tests and replays are pending already. */
export async function insertReplay(
  db: Db,
  webhookId: number,
  id: number,
  atMost: number,
): Promise<DeliveryRow | undefined> {
  const rows = await db.write<DeliveryRow>(sql`
    INSERT INTO webhook_deliveries AS d
      (webhook_id, message_id, type, replay_of, after_id, after_nonce, until_id, until_nonce, changes, oldest_at,
        message_at)
    SELECT o.webhook_id, o.message_id, o.type, o.id, o.after_id, o.after_nonce, o.until_id, o.until_nonce, o.changes,
      o.oldest_at, coalesce(o.message_at, o.created_at)
    FROM webhook_deliveries o
    WHERE o.id = ${id} AND o.webhook_id = ${webhookId} AND ${hasRoom(webhookId, atMost)}
    RETURNING ${deliveryColumns}`);
  return rows[0];
}

const deleteRows = 5_000;

/** Deletes some deliveries that ended more than `days` ago. True if there may be more. */
export async function deleteOld(db: Db, days: number): Promise<boolean> {
  const rows = await db.write(sql`
    DELETE FROM webhook_deliveries d
    USING (
      SELECT o.id FROM webhook_deliveries o
      WHERE o.finished_at < statement_timestamp() - make_interval(days => ${days})
      ORDER BY o.finished_at
      LIMIT ${deleteRows}
      FOR UPDATE SKIP LOCKED
    ) old
    WHERE d.id = old.id
    RETURNING d.id`);
  return rows.length === deleteRows;
}

/** Deletes some of the deliveries that exceed the limit per webhook. True if there may be more. */
export async function deleteExcess(db: Db, atMost: number): Promise<boolean> {
  const rows = await db.write(sql`
    DELETE FROM webhook_deliveries d
    USING (
      SELECT o.id
      FROM webhooks w
        CROSS JOIN LATERAL (
          SELECT k.id FROM webhook_deliveries k WHERE k.webhook_id = w.id ORDER BY k.id DESC OFFSET ${atMost} LIMIT 1
        ) last
        JOIN webhook_deliveries o ON o.webhook_id = w.id AND o.id <= last.id AND o.finished_at IS NOT NULL
      LIMIT ${deleteRows}
    ) old
    WHERE d.id = old.id
    RETURNING d.id`);
  return rows.length === deleteRows;
}

export interface StateCounts {
  readonly active: number;
  readonly failing: number;
  readonly disabled: number;
  readonly pending: number;
  readonly lag_seconds: number;
}

export async function countStates(db: Db): Promise<StateCounts> {
  const rows = await db.query<StateCounts>(sql`
    SELECT count(*) FILTER (WHERE w.enabled AND w.failures = 0) AS active,
      count(*) FILTER (WHERE w.enabled AND w.failures > 0) AS failing,
      count(*) FILTER (WHERE NOT w.enabled) AS disabled,
      (SELECT count(*) FROM webhook_deliveries d WHERE d.state = 'pending') AS pending,
      coalesce(max(${lag}), 0) AS lag_seconds
    FROM webhooks w`);
  return rows[0] ?? { active: 0, failing: 0, disabled: 0, pending: 0, lag_seconds: 0 };
}
