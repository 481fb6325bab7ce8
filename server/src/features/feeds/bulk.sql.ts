import sql from 'sql-template-tag';
import type { Tx } from '../../postgres/database.ts';
import { stands } from '../memberships/memberships.ts';

/**
 * Takes the first bulk events that concern overrides in plain lists, and publishes their net result as of now. Equivalent to
 * taking, evaluating and publishing them one by one, but in one statement: an import of a million users records a million events.
 */
export async function publishBulkOfLists(
  tx: Tx,
  lists: readonly number[],
  limit: number,
): Promise<{ readonly taken: number; readonly published: number }> {
  const rows = await tx.write<{ taken: number; published: number }>(sql`
    WITH taken AS (
      DELETE FROM feed_events e
      WHERE e.seq = ANY(ARRAY(
          SELECT f.seq FROM (SELECT b.seq, b.kind, b.segment_id FROM feed_events b WHERE b.bulk ORDER BY b.seq LIMIT ${limit}) f
          WHERE f.kind = 'override' AND f.segment_id = ANY(${lists}::bigint[])
        ))
      RETURNING e.seq, e.segment_id, e.user_id, e.at, e.cause, e.actor
    ), last AS (
      SELECT DISTINCT ON (t.segment_id, t.user_id) t.* FROM taken t ORDER BY t.segment_id, t.user_id, t.seq DESC
    ), moved AS MATERIALIZED (
      SELECT l.*, o.user_id IS NOT NULL AS is_in
      FROM last l
        JOIN feed_segments s ON s.segment_id = l.segment_id AND s.filled_to >= l.user_id
        LEFT JOIN memberships o ON o.segment_id = l.segment_id AND o.user_id = l.user_id AND o.mode = 'include' AND ${stands(sql`o`)}
        LEFT JOIN feed_members m ON m.segment_id = l.segment_id AND m.user_id = l.user_id
      WHERE (o.user_id IS NULL) <> (m.user_id IS NULL)
    ), entered AS (
      INSERT INTO feed_members (segment_id, user_id) SELECT v.segment_id, v.user_id FROM moved v WHERE v.is_in
    ), gone AS (
      DELETE FROM feed_members m USING moved v
      WHERE NOT v.is_in AND m.segment_id = v.segment_id AND m.user_id = v.user_id
    ), published AS (
      INSERT INTO feed_changes (type, segment_id, slug, user_id, external_id, at, cause, actor)
      SELECT CASE WHEN v.is_in THEN 'entered' ELSE 'left' END, v.segment_id, s.slug, v.user_id, u.external_id, v.at, v.cause, v.actor
      FROM moved v JOIN segments s ON s.id = v.segment_id LEFT JOIN users u ON u.id = v.user_id
      ORDER BY v.seq
    )
    SELECT (SELECT count(*) FROM taken) AS taken, (SELECT count(*) FROM moved) AS published`);
  return rows[0] ?? { taken: 0, published: 0 };
}
