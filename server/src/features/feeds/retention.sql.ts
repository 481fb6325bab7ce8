import sql from 'sql-template-tag';
import type { Db } from '../../postgres/database.ts';

/** Deletes some of the oldest changes that were published more than `days` ago. Returns how many. The last change always stays. */
export async function deleteOldChanges(db: Db, { days, limit }: { days: number; limit: number }): Promise<number> {
  const rows = await db.write<{ count: number }>(sql`
    WITH first AS (
      SELECT c.id, c.published_at FROM feed_changes c
      WHERE c.id < (SELECT max(l.id) FROM feed_changes l)
      ORDER BY c.id
      LIMIT ${limit}
    ), deleted AS (
      DELETE FROM feed_changes c USING first f
      WHERE c.id = f.id AND f.published_at < statement_timestamp() - make_interval(days => ${days}::int)
      RETURNING c.id
    )
    SELECT count(*) AS count FROM deleted`);
  return rows[0]?.count ?? 0;
}

/** Deletes follows that ended before the first change that is kept. */
export async function deleteEndedFollows(db: Db): Promise<void> {
  await db.write(sql`
    DELETE FROM feed_follows w WHERE w.until_id < (SELECT min(c.id) FROM feed_changes c)`);
}
