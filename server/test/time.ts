import sql, { type Sql } from 'sql-template-tag';
import type { Database } from '../src/postgres/database.ts';

/** Ends the memberships of a user that have a limit at this moment, as if it had been their limit from the start. */
export async function endNow(db: Database, user: number): Promise<Date> {
  const now = new Date();
  // In one transaction, or a sweep could come between.
  await db.transaction(async (tx) => {
    await tx.write(sql`UPDATE memberships SET expires_at = ${now} WHERE user_id = ${user} AND expires_at IS NOT NULL`);
    await tx.write(sql`UPDATE history SET expires_at = ${now} WHERE user_id = ${user} AND expires_at IS NOT NULL`);
  });
  return now;
}

/** Lets time pass for the memberships of one user and their history: all of it is that much longer ago now. */
export async function letPass(db: Database, user: number, seconds: number): Promise<void> {
  // Citus evaluates nothing on a worker that depends on settings, as arithmetic with a timestamptz does.
  const earlier = (at: Sql) =>
    sql`(${at} AT TIME ZONE 'UTC' - make_interval(secs => ${seconds}::float8)) AT TIME ZONE 'UTC'`;
  // In one transaction, or a sweep could come between.
  await db.transaction(async (tx) => {
    await tx.write(sql`
      UPDATE memberships SET since = ${earlier(sql`since`)}, expires_at = ${earlier(sql`expires_at`)} WHERE user_id = ${user}`);
    await tx.write(sql`
      UPDATE history SET at = ${earlier(sql`at`)}, expires_at = ${earlier(sql`expires_at`)} WHERE user_id = ${user}`);
  });
}
