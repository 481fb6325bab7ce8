import sql, { type Sql } from 'sql-template-tag';
import type { Db } from '../../postgres/database.ts';
import type { ReportScope } from './links.ts';

export interface ReportRow {
  readonly user_id: number;
  readonly external_id: string | null;
  readonly segment: string;
  readonly op: 'add' | 'update' | 'remove' | 'expire';
  readonly at: Date;
  readonly mode: 'include' | 'exclude';
  readonly job: number | null;
  readonly actor: string;
}

/** Of an erased user only the id is left. */
export function reportQuery({ from, to, userId, segment }: ReportScope, keyTags: readonly string[] | undefined): Sql {
  return sql`
    SELECT h.user_id, u.external_id, s.slug AS segment, h.op, h.at, h.mode, h.job, h.actor
    FROM history h JOIN segments s ON s.id = h.segment_id LEFT JOIN users u ON u.id = h.user_id
    WHERE h.at >= ${from} AND h.at < ${to}
      AND (${userId}::bigint IS NULL OR h.user_id = ${userId})
      AND (${segment}::text IS NULL OR s.slug = ${segment})
      AND (${keyTags}::text[] IS NULL OR s.tags && ${keyTags}::text[])
    ORDER BY h.at, h.user_id, h.seq`;
}

/** Whether a segment has this slug, or had it when it was deleted. */
export async function slugWasEver(db: Db, slug: string, keyTags: readonly string[] | undefined): Promise<boolean> {
  const rows = await db.query(sql`
    SELECT FROM segments s
    WHERE s.slug = ${slug} AND (${keyTags}::text[] IS NULL OR s.tags && ${keyTags}::text[])
    LIMIT 1`);
  return rows.length > 0;
}
