import sql from 'sql-template-tag';
import type { Db } from '../src/postgres/database.ts';

/** Lets time pass for the memberships of one user and their history: all of it is that much longer ago now. */
export async function letPass(db: Db, user: number, seconds: number): Promise<void> {
  await db.write(sql`
    WITH m AS (
      UPDATE memberships
      SET since = since - make_interval(secs => ${seconds}::float8), expires_at = expires_at - make_interval(secs => ${seconds}::float8)
      WHERE user_id = ${user}
    )
    UPDATE history
    SET at = at - make_interval(secs => ${seconds}::float8), expires_at = expires_at - make_interval(secs => ${seconds}::float8)
    WHERE user_id = ${user}`);
}
