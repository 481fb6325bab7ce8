import sql from 'sql-template-tag';
import type { Db } from '../../postgres/database.ts';
import { hasChangesAfter, lastChangeSql, type Position } from '../feeds/feeds.ts';
import { inMs, isAsked, isBatch, now } from './webhooks.sql.ts';

/** The row of a webhook names the instance that sends to it, and every write of that instance checks it. */
export interface Lease {
  readonly owner: string;
  readonly leaseMs: number;
}

/** Whether any webhook is enabled. */
export async function anyEnabled(db: Db): Promise<boolean> {
  const rows = await db.query<{ any: boolean }>(sql`SELECT EXISTS (SELECT 1 FROM webhooks w WHERE w.enabled) AS any`);
  return rows[0]?.any ?? false;
}

/** Leases some webhooks with pending messages, `besides` excepted: either failing ones or the others, longest wait first. */
export async function claimDue(
  db: Db,
  { owner, leaseMs }: Lease,
  { isFailing, limit, besides }: { isFailing: boolean; limit: number; besides: readonly number[] },
): Promise<number[]> {
  const rows = await db.write<{ id: number }>(sql`
    WITH due AS MATERIALIZED (
      SELECT w.id
      FROM webhooks w
      WHERE (w.failures > 0) = ${isFailing} AND (w.leased_until IS NULL OR w.leased_until <= ${now})
        AND w.id <> ALL(${besides}::bigint[])
        AND (
          EXISTS (SELECT 1 FROM webhook_deliveries d WHERE d.webhook_id = w.id AND ${isAsked})
          OR w.enabled AND w.next_at <= ${now} AND (
            w.position_id IS NULL
            OR EXISTS (SELECT 1 FROM webhook_deliveries d WHERE d.webhook_id = w.id AND ${isBatch})
            OR ${hasChangesAfter(sql`w.feed_id`, sql`w.position_id`)}
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

/** Returns the webhooks that this owner still leases. */
export async function renewLeases(db: Db, { owner, leaseMs }: Lease, ids: readonly number[]): Promise<Set<number>> {
  const rows = await db.write<{ id: number }>(sql`
    UPDATE webhooks w SET leased_until = ${inMs(leaseMs)}
    WHERE w.id = ANY(${ids}::bigint[]) AND w.lease_owner = ${owner}
    RETURNING w.id`);
  return new Set(rows.map(({ id }) => id));
}

/** Releases a webhook. It is sent to again after `laterMs`, and behind others that wait. */
export async function releaseLease(db: Db, owner: string, id: number, laterMs: number): Promise<void> {
  await db.write(sql`
    UPDATE webhooks w SET lease_owner = NULL, leased_until = NULL, next_at = greatest(w.next_at, ${inMs(laterMs)})
    WHERE w.id = ${id} AND w.lease_owner = ${owner}`);
}

/** A leased webhook and the position of its next undelivered change. */
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

/** Moves a webhook past changes of other feeds. */
export async function movePosition(db: Db, owner: string, id: number, to: Position): Promise<void> {
  await db.write(sql`
    UPDATE webhooks w SET position_id = ${to.id}, position_nonce = ${to.nonce}, moved_at = ${now}
    WHERE w.id = ${id} AND w.lease_owner = ${owner}`);
}

/**
 * Moves webhooks that are up to date to the last change of all feeds, so that changes of other feeds are not scanned again and
 * again, and the change at a webhook's position is not deleted by retention.
 */
export async function movePositions(db: Db, { rows, minutes }: { rows: number; minutes: number }): Promise<void> {
  await db.write(sql`
    UPDATE webhooks w SET position_id = last.id, position_nonce = last.nonce, moved_at = ${now}
    FROM ${lastChangeSql} last
    WHERE w.position_id < last.id
      AND (last.id - w.position_id > ${rows} OR w.moved_at < ${now} - make_interval(mins => ${minutes}))
      AND w.lease_owner IS NULL
      AND NOT EXISTS (SELECT 1 FROM webhook_deliveries d WHERE d.webhook_id = w.id AND ${isBatch})
      AND NOT ${hasChangesAfter(sql`w.feed_id`, sql`w.position_id`)}`);
}
