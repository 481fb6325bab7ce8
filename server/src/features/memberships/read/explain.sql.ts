import type { UserRef } from '@kohort/contract';
import sql from 'sql-template-tag';
import type { Db } from '../../../postgres/database.ts';
import { inForm } from '../../../postgres/forms.ts';
import { named } from '../../../postgres/statement.ts';
import type { JsonObject } from '../../../segmentation/conditions/json.ts';
import type { Mode } from '../../../segmentation/overrides.ts';
import type { Steps } from '../../../segmentation/steps.ts';
import { momentOfStatement } from '../moment.sql.ts';
import { ofUser } from '../of-user.sql.ts';
import { stands } from '../stands.sql.ts';
import { currentRevision } from './current-revision.sql.ts';
import type { SeenRevision } from './seen-revision.ts';
import { selectStatesOnWorkers } from './states-on-workers.sql.ts';

export interface OverrideRow {
  readonly mode: Mode;
  readonly since: Date;
  readonly expires_at: Date | null;
}

/** One user as read by a statement, with the revision of the definitions that it saw. */
export interface UserState {
  readonly id: number;
  readonly external_id: string | null;
  /** Empty unless attributes were requested. */
  readonly attributes: JsonObject;
  /** The overrides in force, for {@link readStanding}. */
  readonly overrides: string | null;
}

export interface StatesRead {
  readonly revision: SeenRevision;
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
 * By segment. Each is `segment:mode:since:expires`, with times in milliseconds since 1970: far cheaper to parse than JSON or arrays.
 * Parsed in steps, since one user may have tens of thousands.
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

/** The overrides of a group as one text, for {@link readStanding}. */
const overridesText = sql`string_agg(
  m.segment_id || CASE m.mode WHEN 'include' THEN ':i:' ELSE ':e:' END
    || (extract(epoch FROM m.since) * 1000)::bigint || ':'
    || coalesce((extract(epoch FROM m.expires_at) * 1000)::bigint::text, ''), ',')`;

/** The overrides in force of any number of users, and the data that rules of dynamic segments need. */
export function selectStates(
  db: Db,
  refs: readonly UserRef[],
  { attributes }: { attributes: boolean },
): Promise<StatesRead> {
  return inForm(db, {
    single: () => selectStatesAtOnce(db, refs, attributes),
    distributed: async () => {
      const { users, ...seen } = await selectStatesOnWorkers(db, refs, { attributes, overrides: overridesText.text });
      return { ...seen, users: users.map((user) => user && { ...user, attributes: user.attributes ?? {} }) };
    },
  });
}

async function selectStatesAtOnce(db: Db, refs: readonly UserRef[], attributes: boolean): Promise<StatesRead> {
  const statement = sql`
    SELECT d.revision, ${momentOfStatement} AS now, u.id, u.external_id, ${attributes ? sql`u.attributes` : sql`NULL::jsonb AS attributes`},
      (SELECT ${overridesText}
        FROM memberships m
        WHERE ${ofUser(sql`m`, sql`u.id`)} AND ${stands(sql`m`)}) AS overrides
    FROM ${currentRevision} d
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
  // Written so that the planner uses look-ups, as in segments-of-user.sql.ts.
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
