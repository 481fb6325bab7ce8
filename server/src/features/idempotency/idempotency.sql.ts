import sql from 'sql-template-tag';
import type { Db, Tx } from '../../postgres/database.ts';

/** The caller and the hash of the key, which identify the row of a call. */
export interface CallName {
  readonly actor: string;
  readonly keyHash: Buffer;
}

export interface CallRow {
  readonly request_hash: Buffer;
  readonly content_hash: Buffer | null;
  /** Null while an upload is in progress. */
  readonly answer: Buffer | null;
}

/** An upload renews its lease three times within this time. */
export const leaseSeconds = 9;
const deleteRows = 5_000;

const now = sql`date_trunc('milliseconds', statement_timestamp())`;
const leasedUntil = sql`statement_timestamp() + make_interval(secs => ${leaseSeconds})`;

/** Answered less than a day ago, or leased by a live upload. */
const isKept = sql`coalesce(
  c.answer IS NOT NULL AND c.created_at > statement_timestamp() - interval '24 hours'
    OR c.held_until > statement_timestamp(), false)`;

/** False while another transaction works on this call. The lock ends with the transaction, and so with its process. */
export async function tryLock(tx: Tx, { keyHash }: CallName): Promise<boolean> {
  const rows = await tx.query<{ locked: boolean }>(sql`
    SELECT pg_try_advisory_xact_lock(${String(keyHash.readBigInt64BE())}::bigint) AS locked`);
  return rows[0]?.locked === true;
}

/** A separate statement after the one that locks, so that it sees the commit which released the lock. */
export async function selectCall(tx: Tx, { actor, keyHash }: CallName): Promise<CallRow | undefined> {
  const rows = await tx.query<CallRow>(sql`
    SELECT c.request_hash, c.content_hash, c.answer FROM idempotent_calls c
    WHERE c.actor = ${actor} AND c.key_hash = ${keyHash} AND ${isKept}`);
  return rows[0];
}

/** False if another call has taken the key meanwhile. */
export async function insertAnswer(
  tx: Tx,
  { actor, keyHash }: CallName,
  { requestHash, answer }: { requestHash: Buffer; answer: Buffer },
): Promise<boolean> {
  const rows = await tx.write(sql`
    INSERT INTO idempotent_calls AS c (actor, key_hash, request_hash, answer)
    VALUES (${actor}, ${keyHash}, ${requestHash}, ${answer})
    ON CONFLICT ON CONSTRAINT idempotent_calls_pkey DO UPDATE
    SET request_hash = excluded.request_hash, content_hash = NULL, answer = excluded.answer, holder = NULL,
      held_until = NULL, created_at = excluded.created_at
    WHERE NOT ${isKept}
    RETURNING c.actor`);
  return rows.length > 0;
}

/** False if another call has taken the key meanwhile. */
export async function insertLease(
  tx: Tx,
  { actor, keyHash }: CallName,
  { requestHash, holder }: { requestHash: Buffer; holder: string },
): Promise<boolean> {
  const rows = await tx.write(sql`
    INSERT INTO idempotent_calls AS c (actor, key_hash, request_hash, holder, held_until)
    VALUES (${actor}, ${keyHash}, ${requestHash}, ${holder}, ${leasedUntil})
    ON CONFLICT ON CONSTRAINT idempotent_calls_pkey DO UPDATE
    SET request_hash = excluded.request_hash, content_hash = NULL, answer = NULL, holder = excluded.holder,
      held_until = excluded.held_until, created_at = excluded.created_at
    WHERE NOT ${isKept}
    RETURNING c.actor`);
  return rows.length > 0;
}

export async function renewLease(db: Db, { actor, keyHash }: CallName, holder: string): Promise<void> {
  await db.write(sql`
    UPDATE idempotent_calls c SET held_until = ${leasedUntil}
    WHERE c.actor = ${actor} AND c.key_hash = ${keyHash} AND c.holder = ${holder}`);
}

/** False if the lease expired and another call has taken the key. */
export async function answerLease(
  tx: Tx,
  { actor, keyHash }: CallName,
  { holder, contentHash, answer }: { holder: string; contentHash: Buffer; answer: Buffer },
): Promise<boolean> {
  const rows = await tx.write(sql`
    UPDATE idempotent_calls c
    SET answer = ${answer}, content_hash = ${contentHash}, holder = NULL, held_until = NULL, created_at = ${now}
    WHERE c.actor = ${actor} AND c.key_hash = ${keyHash} AND c.holder = ${holder}
    RETURNING c.actor`);
  return rows.length > 0;
}

export async function deleteLease(db: Db, { actor, keyHash }: CallName, holder: string): Promise<void> {
  await db.write(sql`
    DELETE FROM idempotent_calls c WHERE c.actor = ${actor} AND c.key_hash = ${keyHash} AND c.holder = ${holder}`);
}

/** Deletes some answers that are older than a day. True if there may be more. */
export async function deleteExpired(db: Db): Promise<boolean> {
  const rows = await db.write(sql`
    DELETE FROM idempotent_calls c
    USING (
      SELECT o.actor, o.key_hash FROM idempotent_calls o
      WHERE o.created_at <= statement_timestamp() - interval '24 hours'
        AND (o.held_until IS NULL OR o.held_until <= statement_timestamp())
      ORDER BY o.created_at
      LIMIT ${deleteRows}
      FOR UPDATE SKIP LOCKED
    ) old
    WHERE c.actor = old.actor AND c.key_hash = old.key_hash
    RETURNING c.actor`);
  return rows.length === deleteRows;
}
