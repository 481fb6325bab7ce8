import type { UserRef } from '@kohort/contract';
import sql from 'sql-template-tag';
import type { Db } from '../../../postgres/database.ts';
import { named } from '../../../postgres/statement.ts';
import type { JsonObject } from '../../../segmentation/conditions/json.ts';
import type { Mode } from '../../../segmentation/overrides.ts';
import { selectIdsByRef } from '../../users/users.ts';
import { momentOfStatement } from '../moment.sql.ts';
import { stands } from '../stands.sql.ts';
import { revisionOf, type SeenRevision } from './seen-revision.ts';

/*
 * Reads of single users of a distributed database (ADR 113). Keys are on other workers than their users, so ids are looked up
 * first. Then one statement goes only to the shards of these users, where everything about them is joined with the worker's copy
 * of the definitions. Expiry is decided by a time of the coordinator.
 */

export interface StatesOnWorkers<State> {
  readonly revision: SeenRevision;
  /** Milliseconds since 1970. */
  readonly now: number;
  /** In the order asked; undefined for an unknown user. */
  readonly users: readonly (State | undefined)[];
}

/** The columns of a statement below. */
type Row<State> = State & { readonly id: number; readonly revision: number };

const moment = named('memberships-moment', sql`SELECT ${momentOfStatement} AS now`);
const revisionAlone = named('memberships-revision', sql`SELECT d.revision FROM definitions d`);

/** `$1` are the ids of the users, `$2` is the time. */
function textOf({ columns, aggregate, filter = '' }: { columns: string; aggregate: string; filter?: string }): string {
  return `
    SELECT u.id, d.revision, ${columns}
    FROM definitions d
      CROSS JOIN users u
      LEFT JOIN (
        SELECT m.user_id, ${aggregate}
        FROM memberships m
        WHERE m.user_id = ANY($1::bigint[]) AND ${stands(sql`m`).text.replace('statement_timestamp()', '$2::timestamptz')} ${filter}
        GROUP BY m.user_id
      ) o ON o.user_id = u.id
    WHERE u.id = ANY($1::bigint[])`;
}

async function selectStatesOf<State>(
  db: Db,
  refs: readonly UserRef[],
  { name, text, values = [] }: { name: string; text: string; values?: unknown[] },
): Promise<StatesOnWorkers<Row<State>>> {
  const [ids, [start]] = await Promise.all([selectIdsByRef(db, refs), db.query<{ now: number }>(moment)]);
  if (!start) throw new Error('the database reports no time');
  const known = [...new Set(ids.filter((id) => id !== undefined))];
  const rows =
    known.length === 0
      ? []
      : await db.query<Row<State>>({ name, text, values: [known, new Date(start.now), ...values] });
  const [alone] = rows.length === 0 ? await db.query<{ revision: number }>(revisionAlone) : [];
  const byId = new Map(rows.map((row) => [row.id, row]));
  return {
    revision: revisionOf(rows.map(({ revision }) => revision)) ?? alone?.revision ?? 0,
    now: start.now,
    users: ids.map((id) => (id === undefined ? undefined : byId.get(id))),
  };
}

const signedIds = `array_agg(CASE m.mode WHEN 'include' THEN m.segment_id ELSE -m.segment_id END)::text AS overrides`;
const within = 'AND m.segment_id = ANY($3::bigint[])';
const lists = `coalesce(o.overrides, '{}') AS overrides`;
const subjects = (known: string) => `${lists}, u.attributes_version AS version, u.external_id,
  CASE WHEN u.id || ':' || u.attributes_version = ANY(${known}::text[]) THEN NULL ELSE u.attributes END AS attributes`;

/** Like `selectLists`. */
export function selectListsOnWorkers(
  db: Db,
  refs: readonly UserRef[],
  segmentIds?: readonly number[],
): Promise<StatesOnWorkers<{ readonly overrides: string }>> {
  return selectStatesOf(
    db,
    refs,
    segmentIds
      ? {
          name: 'memberships-lists-within-workers',
          text: textOf({ columns: lists, aggregate: signedIds, filter: within }),
          values: [segmentIds],
        }
      : { name: 'memberships-lists-workers', text: textOf({ columns: lists, aggregate: signedIds }) },
  );
}

export interface SubjectOnWorker {
  readonly id: number;
  readonly overrides: string;
  readonly version: number;
  readonly external_id: string | null;
  /** Null if the caller has them. */
  readonly attributes: JsonObject | null;
}

/** Like `selectSubjects`; `known` are users that need no attributes, with the versions that the caller has. */
export function selectSubjectsOnWorkers(
  db: Db,
  refs: readonly UserRef[],
  known: readonly { readonly id: number; readonly version: number }[],
  segmentIds?: readonly number[],
): Promise<StatesOnWorkers<SubjectOnWorker>> {
  const versions = known.map(({ id, version }) => `${id}:${version}`);
  return selectStatesOf(
    db,
    refs,
    segmentIds
      ? {
          name: 'memberships-subjects-within-workers',
          text: textOf({ columns: subjects('$4'), aggregate: signedIds, filter: within }),
          values: [segmentIds, versions],
        }
      : {
          name: 'memberships-subjects-workers',
          text: textOf({ columns: subjects('$3'), aggregate: signedIds }),
          values: [versions],
        },
  );
}

export interface StateOnWorker {
  readonly id: number;
  readonly external_id: string | null;
  readonly attributes: JsonObject | null;
  readonly overrides: string | null;
}

/** Like `selectStates`; `overrides` aggregates their overrides into one text. */
export function selectStatesOnWorkers(
  db: Db,
  refs: readonly UserRef[],
  { attributes, overrides }: { attributes: boolean; overrides: string },
): Promise<StatesOnWorkers<StateOnWorker>> {
  const columns = `u.external_id, ${attributes ? 'u.attributes' : 'NULL::jsonb AS attributes'}, o.overrides`;
  return selectStatesOf(db, refs, {
    name: attributes ? 'memberships-states-attributes-workers' : 'memberships-states-workers',
    text: textOf({ columns, aggregate: `${overrides} AS overrides` }),
  });
}

export interface PairOnWorker {
  /** By segment, among the requested ones. */
  readonly modes: Readonly<Record<string, Mode>> | null;
  readonly attributes: JsonObject | null;
}

/** Like `selectPairs`, but for all these users in all these segments. */
export function selectPairsOnWorkers(
  db: Db,
  refs: readonly UserRef[],
  segmentIds: readonly number[],
  { attributes }: { attributes: boolean },
): Promise<StatesOnWorkers<PairOnWorker>> {
  return selectStatesOf(db, refs, {
    name: attributes ? 'memberships-pairs-attributes-workers' : 'memberships-pairs-workers',
    text: textOf({
      columns: `o.modes, ${attributes ? 'u.attributes' : 'NULL::jsonb AS attributes'}`,
      aggregate: 'jsonb_object_agg(m.segment_id, m.mode) AS modes',
      filter: within,
    }),
    values: [segmentIds],
  });
}
