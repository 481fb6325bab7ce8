import sql from 'sql-template-tag';
import type { Db } from '../../postgres/database.ts';

/** Queues a question, unless the caller has `most` waiting or running ones already. */
export async function insertQuestion(
  db: Db,
  { options, actor }: { options: object; actor: string },
  most: number,
): Promise<number | undefined> {
  const rows = await db.write<{ id: number }>(sql`
    INSERT INTO jobs (kind, state, lane, options, actor)
    SELECT 'question', 'queued', ${`question:${actor}`}, ${JSON.stringify(options)}, ${actor}
    WHERE (
      SELECT count(*) FROM jobs j WHERE j.finished_at IS NULL AND j.kind = 'question' AND j.actor = ${actor}
    ) < ${most}
    RETURNING id`);
  return rows[0]?.id;
}

export async function storeResult(db: Db, job: number, result: unknown): Promise<void> {
  await db.write(sql`UPDATE jobs j SET result = ${JSON.stringify(result)}::jsonb WHERE j.id = ${job}`);
}
