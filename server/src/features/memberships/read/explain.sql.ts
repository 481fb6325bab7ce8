import type { UserRef } from '@kohort/contract';
import sql from 'sql-template-tag';
import type { Db } from '../../../postgres/database.ts';
import { named } from '../../../postgres/statement.ts';
import type { JsonObject } from '../../../segmentation/conditions/json.ts';
import type { Mode, Steps } from '../../../segmentation/decide.ts';
import { momentOfStatement } from '../moment.sql.ts';
import { ofUser } from '../of-user.sql.ts';
import { stands } from '../stands.sql.ts';

export interface OverrideRow {
  readonly mode: Mode;
  readonly since: Date;
  readonly expires_at: Date | null;
}

/** One user as a statement found them, with the revision of the definitions that was current for it. */
export interface UserState {
  readonly id: number;
  readonly external_id: string | null;
  /** Empty where attributes were not asked for. */
  readonly attributes: JsonObject;
  /** The overrides that stand, for {@link readStanding}. */
  readonly overrides: string | null;
}

export interface StatesRead {
  readonly revision: number;
  /** The moment of the statement, in milliseconds since 1970. */
  readonly now: number;
  /** In the order asked; undefined for an unknown user. */
  readonly users: readonly (UserState | undefined)[];
}

interface Row {
  readonly revision: number;
  readonly now: number;
  readonly id: number | null;
  readonly external_id: string | null;
  readonly attributes: JsonObject | null;
  readonly overrides: string | null;
}

const stepRows = 256;

/**
 * By segment. Each is `segment:mode:since:expires`, times in milliseconds of the epoch: far cheaper to take apart than JSON or
 * arrays. In steps, since one user may have tens of thousands.
 */
export function* readStanding(text: string | null): Steps<Map<number, OverrideRow>> {
  const overrides = new Map<number, OverrideRow>();
  if (text === null) return overrides;
  for (const one of text.split(',')) {
    const [segment, mode, since, expires] = one.split(':');
    overrides.set(Number(segment), {
      mode: mode === 'i' ? 'include' : 'exclude',
      since: new Date(Number(since)),
      expires_at: expires ? new Date(Number(expires)) : null,
    });
    if (overrides.size % stepRows === 0) yield;
  }
  return overrides;
}

/** The overrides that stand, of any number of users, and what the rules of dynamic segments need to know of them. */
export async function selectStates(
  db: Db,
  refs: readonly UserRef[],
  { attributes }: { attributes: boolean },
): Promise<StatesRead> {
  const statement = sql`
    SELECT d.revision, ${momentOfStatement} AS now, u.id, u.external_id, ${attributes ? sql`u.attributes` : sql`NULL::jsonb AS attributes`},
      (SELECT string_agg(
          m.segment_id || CASE m.mode WHEN 'include' THEN ':i:' ELSE ':e:' END
            || (extract(epoch FROM m.since) * 1000)::bigint || ':'
            || coalesce((extract(epoch FROM m.expires_at) * 1000)::bigint::text, ''), ',')
        FROM memberships m
        WHERE ${ofUser(sql`m`, sql`u.id`)} AND ${stands(sql`m`)}) AS overrides
    FROM definitions d
      CROSS JOIN unnest(
        (SELECT ${refs.map(({ id }) => id ?? null)}::bigint[]),
        (SELECT ${refs.map(({ externalId }) => externalId ?? null)}::text[])
      ) WITH ORDINALITY AS a(id, external_id, ord)
      CROSS JOIN LATERAL (
        SELECT coalesce(a.id, (SELECT k.user_id FROM user_keys k WHERE k.external_id = a.external_id)) AS id
      ) q
      LEFT JOIN LATERAL (
        SELECT u.id, u.external_id, u.attributes FROM users u WHERE u.id = q.id OFFSET 0
      ) u ON true
    ORDER BY a.ord`;
  // The planner is kept to lookups as in segments-of-user.sql.ts.
  const rows = await db.query<Row>(
    named(attributes ? 'memberships-states-attributes' : 'memberships-states', statement),
  );
  return {
    revision: rows[0]?.revision ?? 0,
    now: rows[0]?.now ?? 0,
    users: rows.map(({ id, external_id, attributes: found, overrides }) =>
      id === null ? undefined : { id, external_id, attributes: found ?? {}, overrides },
    ),
  };
}
