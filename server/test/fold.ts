import sql from 'sql-template-tag';
import { expect } from 'vitest';
import type { Db } from '../src/postgres/database.ts';

/** Pairs for which the memberships are not what their history comes to. */
async function gaps(db: Db): Promise<object[]> {
  return db.query(sql`
    WITH last AS (SELECT DISTINCT ON (user_id, segment_id) * FROM history ORDER BY user_id, segment_id, seq DESC)
    SELECT user_id, segment_id
    FROM memberships m FULL JOIN (SELECT * FROM last WHERE op IN ('add', 'update')) l USING (user_id, segment_id)
    WHERE m.user_id IS NULL OR l.op IS NULL OR m.expires_at IS DISTINCT FROM l.expires_at OR m.mode <> l.mode`);
}

/** Rows that cannot follow the row before them: an `add` of what is there, anything else of what is not, or an earlier time. */
async function breaks(db: Db): Promise<object[]> {
  return db.query(sql`
    SELECT user_id, segment_id, seq, before_op, op, before_at, at
    FROM (
      SELECT *, lag(op) OVER pair AS before_op, lag(at) OVER pair AS before_at
      FROM history
      WINDOW pair AS (PARTITION BY user_id, segment_id ORDER BY seq)
    ) h
    WHERE (op = 'add') <> (before_op IS NULL OR before_op IN ('remove', 'expire')) OR at < before_at`);
}

async function orphans(db: Db): Promise<object[]> {
  return db.query(sql`
    SELECT m.user_id, m.segment_id FROM memberships m WHERE NOT EXISTS (SELECT FROM users u WHERE u.id = m.user_id)`);
}

/** Times that would be shown as another than the one that is kept. */
async function finerThanShown(db: Db): Promise<object[]> {
  return db.query(sql`
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
    WHERE t.at <> date_trunc('milliseconds', t.at)`);
}

/** What must hold whatever was done: the state is the fold of the history, and the history tells a story that can be true. */
export async function expectFold(db: Db): Promise<void> {
  expect(await gaps(db), 'the state is the fold of the history').toEqual([]);
  expect(await breaks(db), 'each row can follow the one before it').toEqual([]);
  expect(await orphans(db), 'no membership outlives its user').toEqual([]);
  expect(await finerThanShown(db), 'times are whole milliseconds').toEqual([]);
}
