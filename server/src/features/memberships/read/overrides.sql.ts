import sql, { type Sql } from 'sql-template-tag';
import type { Db } from '../../../postgres/database.ts';
import type { Mode } from '../../../segmentation/overrides.ts';
import { momentSql } from '../moment.sql.ts';
import { stands } from '../stands.sql.ts';
import type { PageAt } from './members-of-segment.sql.ts';
import { pageOfOverrides } from './page-of-overrides.sql.ts';

export interface OverrideRow {
  readonly id: number;
  readonly external_id: string | null;
  readonly name: string | null;
  readonly mode: Mode;
  readonly since: Date;
  readonly expires_at: Date | null;
}

/** Each mode has its own statement text: excludes are few and have an index of their own. */
const modeIs: Readonly<Record<Mode | 'any', Sql>> = {
  include: sql`m.mode = 'include'`,
  exclude: sql`m.mode = 'exclude'`,
  any: sql`true`,
};

export function selectOverrides(
  db: Db,
  segmentId: number,
  { mode, after, limit, now }: PageAt & { readonly mode: Mode | 'any' },
): Promise<OverrideRow[]> {
  const where = sql`m.segment_id = ${segmentId} AND m.user_id > ${after} AND ${modeIs[mode]} AND ${stands(sql`m`, momentSql(now))}`;
  return db.query<OverrideRow>(pageOfOverrides(db, where, { after, limit }));
}
