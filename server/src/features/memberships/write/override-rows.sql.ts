import sql from 'sql-template-tag';
import type { Mode } from '../../../segmentation/overrides.ts';
import { stands } from '../stands.sql.ts';

/** An override as statements return it. */
export interface OverrideRow {
  readonly user_id: number;
  readonly segment_id: number;
  readonly mode: Mode;
  readonly expires_at: Date | null;
}

export const overrideColumns = sql`m.user_id, m.segment_id, m.mode, m.expires_at`;

/** Sets overrides, and leaves alone those that are as requested already or have expired by the moment of the new row. */
export const setOverrides = sql`ON CONFLICT ON CONSTRAINT memberships_pkey DO UPDATE
    SET mode = excluded.mode,
      since = CASE WHEN m.mode = excluded.mode THEN m.since ELSE excluded.since END,
      expires_at = excluded.expires_at
    WHERE (m.mode, m.expires_at) IS DISTINCT FROM (excluded.mode, excluded.expires_at)
      AND ${stands(sql`m`, sql`excluded.since`)}
    RETURNING ${overrideColumns}, CASE WHEN m.xmax = 0 THEN 'add' ELSE 'update' END AS op`;

/** The segment has neither a rule nor a share: who is in it is what its overrides say. */
export const isPlainList = sql`num_nonnulls(s.percentage, s.ramp, s.layer_id, s.condition) = 0`;
