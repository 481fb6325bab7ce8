import type { UserRef } from '@kohort/contract';
import sql from 'sql-template-tag';
import type { Db } from '../../../postgres/database.ts';
import { inForm } from '../../../postgres/forms.ts';
import type { JsonObject } from '../../../segmentation/conditions/json.ts';
import type { Mode } from '../../../segmentation/overrides.ts';
import { selectIdsByRef } from '../../users/users.ts';
import { selectMoment } from '../moment.sql.ts';
import { stands } from '../stands.sql.ts';

export interface PastUser {
  readonly id: number;
  readonly external_id: string | null;
  readonly attributes: JsonObject;
  readonly overrides: readonly { readonly segment_id: number; readonly mode: Mode }[];
}

export interface PastMoment {
  /** False for a future moment. */
  readonly is_past: boolean;
  /** False if the user was registered later. */
  readonly existed: boolean;
}

/**
 * A user as of a moment: the last change per segment up to then, unless it removed the override or the override had expired;
 * and the last version of the attributes up to then. Undefined if there is no such user now.
 */
export async function selectPastUser(db: Db, ref: UserRef, at: Date): Promise<(PastUser & PastMoment) | undefined> {
  return inForm(db, {
    single: () => selectPastUserBy(db, ref, at),
    distributed: async () => {
      const [id] = await selectIdsByRef(db, [ref]);
      if (id === undefined) return undefined;
      const user = await selectPastUserBy(db, { id }, at);
      return user && { ...user, is_past: at.getTime() <= (await selectMoment(db)) };
    },
  });
}

async function selectPastUserBy(db: Db, ref: UserRef, at: Date): Promise<(PastUser & PastMoment) | undefined> {
  const id =
    ref.id === undefined
      ? sql`(SELECT k.user_id FROM user_keys k WHERE k.external_id = ${ref.externalId})`
      : sql`${ref.id}::bigint`;
  const rows = await db.query<PastUser & PastMoment>(sql`
    SELECT u.id, u.external_id,
      ${at}::timestamptz <= statement_timestamp() AS is_past,
      u.created_at <= ${at} AS existed,
      coalesce((
        SELECT v.attributes FROM attribute_versions v
        WHERE v.user_id = u.id AND v.at <= ${at}
        ORDER BY v.version DESC LIMIT 1
      ), '{}') AS attributes,
      (
        SELECT coalesce(json_agg(json_build_object('segment_id', l.segment_id, 'mode', l.mode)), '[]')
        FROM (
          SELECT DISTINCT ON (h.segment_id) h.segment_id, h.op, h.mode, h.expires_at
          FROM history h
          WHERE h.user_id = u.id AND h.at <= ${at}
          ORDER BY h.segment_id, h.seq DESC
        ) l
        WHERE l.op IN ('add', 'update') AND ${stands(sql`l`, sql`${at}::timestamptz`)}
      ) AS overrides
    FROM users u
    WHERE u.id = ${id}`);
  return rows[0];
}
