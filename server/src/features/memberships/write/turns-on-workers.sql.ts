import sql from 'sql-template-tag';
import { advisoryLocks } from '../../../postgres/advisory-locks.ts';
import type { Tx } from '../../../postgres/database.ts';
import { userTurns } from '../../users/users.ts';

/**
 * Takes the turns of the users, locks segments against deletion, and then reads the clock, so that a user's changes are dated in the
 * order in which they happen.
 */
export async function takeTurns(tx: Tx, userIds: readonly number[]): Promise<Date> {
  const rows = await tx.query<{ now: Date }>(sql`
    SELECT date_trunc('milliseconds', clock_timestamp()) AS now
    FROM (
      SELECT t.turns, pg_advisory_xact_lock_shared(${advisoryLocks.deletion}::bigint) AS lock
      FROM ${userTurns(userIds)} t
      OFFSET 0
    ) held
    WHERE held.turns >= 0 AND held.lock IS NOT NULL`);
  if (!rows[0]) throw new Error('the database reports no time');
  return rows[0].now;
}

/** Waits for running changes of memberships, and makes later ones wait until the transaction ends. */
export async function keepChangesAway(tx: Tx): Promise<void> {
  await tx.query(sql`SELECT pg_advisory_xact_lock(${advisoryLocks.deletion}::bigint)`);
}
