import type pg from 'pg';

/** Pairs whose state is not the fold of their history, and history rows that cannot follow the row before them. */
export async function countUnfolded(client: pg.Client): Promise<number> {
  const { rows } = await client.query<{ gaps: string; breaks: string }>(`
    WITH last AS (SELECT DISTINCT ON (user_id, segment_id) * FROM history ORDER BY user_id, segment_id, seq DESC),
    gaps AS (
      SELECT FROM memberships m FULL JOIN (SELECT * FROM last WHERE op IN ('add', 'update')) l USING (user_id, segment_id)
      WHERE m.user_id IS NULL OR l.op IS NULL OR (m.mode, m.expires_at) IS DISTINCT FROM (l.mode, l.expires_at)
    ),
    breaks AS (
      SELECT FROM (
        SELECT op, at, lag(op) OVER pair AS before_op, lag(at) OVER pair AS before_at
        FROM history WINDOW pair AS (PARTITION BY user_id, segment_id ORDER BY seq)
      ) h
      WHERE (op = 'add') <> (before_op IS NULL OR before_op IN ('remove', 'expire')) OR at < before_at
    )
    SELECT (SELECT count(*) FROM gaps) AS gaps, (SELECT count(*) FROM breaks) AS breaks`);
  return Number(rows[0]?.gaps) + Number(rows[0]?.breaks);
}
