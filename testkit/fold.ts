/** Runs a statement without parameters. */
export type Ask = (text: string) => Promise<readonly object[]>;

const LAST = 'SELECT DISTINCT ON (user_id, segment_id) * FROM history ORDER BY user_id, segment_id, seq DESC';

const CHECKS = {
  /** Pairs whose membership is not the fold of their history. */
  'the state is the fold of the history': `
    WITH last AS (${LAST})
    SELECT user_id, segment_id
    FROM memberships m FULL JOIN (SELECT * FROM last WHERE op IN ('add', 'update')) l USING (user_id, segment_id)
    WHERE m.user_id IS NULL OR l.op IS NULL OR (m.mode, m.expires_at) IS DISTINCT FROM (l.mode, l.expires_at)`,
  /** Rows that cannot follow the one before: an `add` of an existing override, anything else without one, or an earlier time. */
  'each row can follow the one before it': `
    SELECT user_id, segment_id, seq, before_op, op, before_at, at
    FROM (
      SELECT *, lag(op) OVER pair AS before_op, lag(at) OVER pair AS before_at
      FROM history
      WINDOW pair AS (PARTITION BY user_id, segment_id ORDER BY seq)
    ) h
    WHERE (op = 'add') <> (before_op IS NULL OR before_op IN ('remove', 'expire')) OR at < before_at`,
  'no membership outlives its user': `
    SELECT m.user_id, m.segment_id FROM memberships m WHERE NOT EXISTS (SELECT FROM users u WHERE u.id = m.user_id)`,
  /** Times with a fraction of a millisecond, which answers would not show as stored. */
  'times are whole milliseconds': `
    SELECT t.source, t.at
    FROM (
      SELECT 'history' AS source, at FROM history
      UNION ALL SELECT 'history.expires_at', expires_at FROM history
      UNION ALL SELECT 'memberships', since FROM memberships
      UNION ALL SELECT 'memberships.expires_at', expires_at FROM memberships
      UNION ALL SELECT 'segments', unnest(ARRAY[created_at, updated_at, deleted_at]) FROM segments
      UNION ALL SELECT 'segment_versions', at FROM segment_versions
      UNION ALL SELECT 'users', created_at FROM users
      UNION ALL SELECT 'attribute_versions', at FROM attribute_versions
    ) t
    WHERE t.at <> date_trunc('milliseconds', t.at)`,
} as const;

/** The invariant that holds after any operations: the state is the fold of the history, and the history is possible. */
export async function foldViolations(
  ask: Ask,
): Promise<{ readonly promise: string; readonly rows: readonly object[] }[]> {
  const violations = [];
  for (const [promise, text] of Object.entries(CHECKS)) {
    const rows = await ask(text);
    if (rows.length > 0) violations.push({ promise, rows });
  }
  return violations;
}

/** How many rows break a promise of the history. */
export async function countUnfolded(client: {
  query(text: string): Promise<{ readonly rows: readonly object[] }>;
}): Promise<number> {
  const violations = await foldViolations(async (text) => (await client.query(text)).rows);
  return violations.reduce((sum, { rows }) => sum + rows.length, 0);
}
