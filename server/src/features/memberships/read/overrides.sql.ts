import sql, { type Sql } from 'sql-template-tag';
import type { Db } from '../../../postgres/database.ts';
import type { Mode } from '../../../segmentation/decide.ts';
import { stands } from '../stands.sql.ts';

export interface OverrideRow {
  readonly user_id: number;
  readonly external_id: string | null;
  readonly name: string | null;
  readonly mode: Mode;
  readonly since: Date;
  readonly expires_at: Date | null;
}

/** Each mode is a text of its own: those that exclude have an index of their own, and are few among many. */
const modeIs: Readonly<Record<Mode | 'any', Sql>> = {
  include: sql`m.mode = 'include'`,
  exclude: sql`m.mode = 'exclude'`,
  any: sql`true`,
};

/** The page is cut out by index before its users are looked up. */
export function selectOverrides(
  db: Db,
  segmentId: number,
  { mode, after, limit }: { mode: Mode | 'any'; after: number; limit: number },
): Promise<OverrideRow[]> {
  return db.query<OverrideRow>(sql`
    SELECT m.user_id, u.external_id, u.name, m.mode, m.since, m.expires_at
    FROM (
      SELECT m.user_id, m.mode, m.since, m.expires_at
      FROM memberships m
      WHERE m.segment_id = ${segmentId} AND m.user_id > ${after} AND ${modeIs[mode]} AND ${stands(sql`m`)}
      ORDER BY m.user_id
      LIMIT ${limit}
    ) m LEFT JOIN users u ON u.id = m.user_id AND u.id > ${after}
    ORDER BY m.user_id`);
}
