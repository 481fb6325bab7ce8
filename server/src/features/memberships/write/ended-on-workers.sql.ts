import sql, { type Sql } from 'sql-template-tag';
import type { Db, Transactor, Tx } from '../../../postgres/database.ts';
import { lockRows, takeUserTurns } from '../../users/users.ts';
import { selectMoment } from '../moment.sql.ts';
import { type Entry, type Event, insertEvents, insertHistory, rowsAtOnce } from './entries-on-workers.sql.ts';
import { type OverrideRow, overrideColumns } from './override-rows.sql.ts';
import { takeTurns } from './turns-on-workers.sql.ts';

/** Removes all overrides of a user, with history rows. The transaction has locked the user. */
export async function removeAllOnWorker(tx: Tx, userId: number, actor: string): Promise<void> {
  const at = await takeTurns(tx, [userId]);
  const removed = await tx.write<OverrideRow>(sql`
    DELETE FROM memberships m WHERE m.user_id = ${userId} RETURNING ${overrideColumns}`);
  await insertHistory(
    tx,
    removed.map((row) => ({ ...row, op: 'remove', at, actor })),
  );
}

interface EndedRow extends OverrideRow {
  readonly deleted_at: Date | null;
  readonly deleted_by: string | null;
  readonly followed: boolean;
}

const hasEnded = (now: Date): Sql => sql`(m.expires_at <= ${now}::timestamptz OR s.deleted_at IS NOT NULL)`;

async function selectClock(db: Db): Promise<Date> {
  return new Date(await selectMoment(db));
}

/** Deletes the memberships among `which` that have ended by `now`, each with a history row dated with the moment it ended. */
async function removeEndedOf(tx: Tx, which: Sql, now: Date): Promise<number> {
  const rows = await tx.write<EndedRow>(sql`
    DELETE FROM memberships m
    USING segments s
    WHERE s.id = m.segment_id AND ${which} AND ${hasEnded(now)}
    RETURNING ${overrideColumns}, s.deleted_at, s.deleted_by, s.followed`);
  const entries: Entry[] = [];
  const events: Event[] = [];
  for (const row of rows) {
    const { deleted_at, deleted_by, followed, ...membership } = row;
    const { user_id, segment_id, expires_at } = membership;
    const limit = deleted_at !== null && deleted_at < now ? deleted_at : now;
    if (expires_at !== null && expires_at <= limit) {
      entries.push({ ...membership, op: 'expire', at: expires_at, actor: 'system' });
    } else {
      entries.push({ ...membership, op: 'remove', at: deleted_at ?? now, actor: deleted_by ?? 'system' });
    }
    if (followed && deleted_at === null) {
      events.push({ user_id, segment_id, mode: null, at: expires_at ?? now, cause: 'expiry', actor: 'system' });
    }
  }
  await insertHistory(tx, entries);
  await insertEvents(tx, events);
  return rows.length;
}

/** Reads first: usually nothing has ended, and then a read of history writes nothing. */
export async function removeEndedOfUserOnWorker(db: Transactor, userId: number): Promise<number> {
  const ended = await db.query(sql`
    SELECT 1 AS one FROM memberships m JOIN segments s ON s.id = m.segment_id
    WHERE m.user_id = ${userId} AND ${hasEnded(await selectClock(db))}
    LIMIT 1`);
  if (ended.length === 0) return 0;
  return db.transaction(async (tx) => {
    await takeUserTurns(tx, [userId]);
    const known = await lockRows(tx, [userId]);
    return known.size === 0 ? 0 : removeEndedOf(tx, sql`m.user_id = ${userId}`, await selectClock(tx));
  });
}

/** The transaction has locked the users. */
export async function removeExpiredOnWorkers(tx: Tx, userIds: readonly number[], segmentId: number): Promise<number> {
  const which = sql`m.segment_id = ${segmentId} AND m.user_id = ANY(${userIds}::bigint[]) AND s.deleted_at IS NULL`;
  return removeEndedOf(tx, which, await selectClock(tx));
}

/** Goes by the users of the memberships that expired first. Segments that imports are changing are left for the next run. */
export async function sweepExpiredOnWorkers(db: Transactor, limit: number): Promise<number> {
  const now = await selectClock(db);
  const fenced = await db.query<{ segment_id: number }>(sql`SELECT DISTINCT f.segment_id FROM fences f`);
  const isFree = sql`m.segment_id <> ALL(${fenced.map(({ segment_id }) => segment_id)}::bigint[])`;
  const picked = await db.query<{ user_id: number }>(sql`
    SELECT m.user_id FROM memberships m
    WHERE m.expires_at <= ${now}::timestamptz AND ${isFree}
    ORDER BY m.expires_at
    LIMIT ${limit}`);
  if (picked.length === 0) return 0;
  const users = picked.map(({ user_id }) => user_id);
  const which = sql`m.user_id = ANY(${users}::bigint[]) AND m.expires_at <= ${now}::timestamptz AND ${isFree}`;
  return db.transaction((tx) => removeEndedOf(tx, which, now));
}

/** The first users of a deleted segment, up to a limit. */
export async function purgeOnWorkers(db: Transactor, segmentId: number, limit: number): Promise<number> {
  const picked = await db.query<{ user_id: number }>(sql`
    SELECT m.user_id FROM memberships m WHERE m.segment_id = ${segmentId}
    ORDER BY m.user_id
    LIMIT ${Math.min(limit, rowsAtOnce)}`);
  const last = picked.at(-1)?.user_id;
  if (last === undefined) return 0;
  const which = sql`m.segment_id = ${segmentId} AND m.user_id <= ${last}::bigint AND s.deleted_at IS NOT NULL`;
  return db.transaction(async (tx) => removeEndedOf(tx, which, await selectClock(tx)));
}
