import type { UserRef } from '@kohort/contract';
import sql, { type Sql } from 'sql-template-tag';
import type { Db } from '../../../postgres/database.ts';
import { inForm } from '../../../postgres/forms.ts';
import { bigintArray } from '../../../postgres/statement.ts';
import type { JsonObject } from '../../../segmentation/conditions/json.ts';
import { momentOfStatement } from '../moment.sql.ts';
import { ofUser } from '../of-user.sql.ts';
import { stands } from '../stands.sql.ts';
import { currentRevision } from './current-revision.sql.ts';
import type { SeenRevision } from './seen-revision.ts';
import { selectListsOnWorkers, selectSubjectsOnWorkers } from './states-on-workers.sql.ts';

/** One user as the fast path reads them. The overrides come as one text, `{12,-15}`, negative for an exclude: `readOverrides` of segmentation/overrides.ts. */
export interface FoundUser {
  readonly overrides: string;
  /** For dynamic segments; omitted if the caller has it cached. */
  readonly subject: FoundSubject | undefined;
}

export interface FoundSubject {
  readonly id: number;
  readonly version: number;
  readonly external_id: string | null;
  readonly attributes: JsonObject;
}

export interface FoundUsers {
  readonly revision: SeenRevision;
  /** The moment of the statement, in milliseconds since 1970; 0 if it does not matter. */
  readonly now: number;
  /** In the order asked; undefined for an unknown user. */
  readonly users: readonly (FoundUser | undefined)[];
}

/** A user, and the version of them that the caller has cached. */
export interface AskedUser {
  readonly ref: UserRef;
  readonly known: { readonly id: number; readonly version: number } | undefined;
}

// Named statements are prepared once per connection. External ids are looked up one by one, and only if given.
// A subquery around an array hides its length from the planner, which would otherwise replan for each short one (ADR 31).
// Everything about a user is a separate subquery, so that the planner can only look it up: a join would be planned as a scan of
// the whole table while that is small, and the plan is kept when it has grown (ADR 45).
const askedId = `coalesce(a.id, (SELECT k.user_id FROM user_keys k WHERE k.external_id = a.external_id))`;
/** `{}` without any. */
const overridesOf = (userId: Sql, filter: string) => `
  ARRAY(
    SELECT CASE m.mode WHEN 'include' THEN m.segment_id ELSE -m.segment_id END
    FROM memberships m
    WHERE ${ofUser(sql`m`, userId).text} AND ${stands(sql`m`).text} ${filter}
  )::text`;
/** Of these segments only. */
const within = (parameter: string) => `AND m.segment_id = ANY((SELECT ${parameter}::bigint[])::bigint[])`;

/** Users in one row. Each row costs the client more than what it brings; some megabytes are the most that one should bring. */
const rowUsers = 64;
/** Where the users of each row begin. The planner expects 1,000 rows of a bare series, enough for JIT at each execution (ADR 144). */
const rowStarts = `
  unnest(ARRAY(
    SELECT generate_series(1, greatest(cardinality((SELECT $1::bigint[])), cardinality((SELECT $2::text[]))), ${rowUsers})
  )) WITH ORDINALITY AS s(first, place)`;
/** The elements of a parameter for the users of one row. Parts that are taken in order need no sort of all users (ADR 144). */
const partOf = (parameter: string) => `((SELECT ${parameter}))[s.first : s.first + ${rowUsers - 1}]`;

// The texts of users separated by semicolons, empty for an unknown user.
const lists = (filter = '') => `
  SELECT d.revision, part.overrides
  FROM ${currentRevision.text} d
    CROSS JOIN ${rowStarts}
    CROSS JOIN LATERAL (
      SELECT string_agg(
        coalesce(nullif(${overridesOf(sql`q.id`, filter)}, '{}'), (SELECT '{}' FROM users u WHERE u.id = q.id), ''),
        ';' ORDER BY a.ord
      ) AS overrides
      FROM unnest(${partOf('$1::bigint[]')}, ${partOf('$2::text[]')}) WITH ORDINALITY AS a(id, external_id, ord)
        CROSS JOIN LATERAL (SELECT ${askedId} AS id) q
    ) part
  ORDER BY s.place`;

// Revision and moment are the same in all rows: only the first brings them.
const subjects = (filter = '') => `
  SELECT CASE a.ord WHEN 1 THEN d.revision END, CASE a.ord WHEN 1 THEN t.now END,
    CASE WHEN u.id IS NOT NULL THEN ${overridesOf(sql`u.id`, filter)} END, u.id, u.version, u.external_id, u.attributes
  FROM ${currentRevision.text} d
    -- With OFFSET 0 the moment is computed once, not for each user.
    CROSS JOIN (SELECT ${momentOfStatement.text} AS now OFFSET 0) t
    CROSS JOIN unnest((SELECT $1::bigint[]), (SELECT $2::text[]), (SELECT $3::bigint[]), (SELECT $4::bigint[]))
      WITH ORDINALITY AS a(id, external_id, known_id, known_version, ord)
    CROSS JOIN LATERAL (SELECT ${askedId} AS id) q
    LEFT JOIN LATERAL (
      SELECT u.id, u.attributes_version AS version, u.external_id,
        CASE WHEN (u.id, u.attributes_version) IS DISTINCT FROM (a.known_id, a.known_version) THEN u.attributes END AS attributes
      FROM users u
      WHERE u.id = q.id
      OFFSET 0
    ) u ON true
  ORDER BY a.ord`;

const allLists = { name: 'memberships-lists', text: lists() };
const someLists = { name: 'memberships-lists-within', text: lists(within('$3')) };
const allSubjects = { name: 'memberships-subjects', text: subjects() };
const someSubjects = { name: 'memberships-subjects-within', text: subjects(within('$5')) };

const refOf = ({ ref }: AskedUser) => ref;
/** Most batches have no external id, and `unnest` fills up a missing array with nulls. */
const refsOf = (asked: readonly AskedUser[]) => [
  bigintArray(asked, ({ ref }) => ref.id),
  asked.some(({ ref }) => ref.externalId !== undefined) ? asked.map(({ ref }) => ref.externalId ?? null) : null,
];

/** If every segment is a plain list: a user with an override exists, so only users without one are looked up. */
export function selectLists(db: Db, asked: readonly AskedUser[], segmentIds?: readonly number[]): Promise<FoundUsers> {
  return inForm(db, {
    single: () => selectListsAtOnce(db, asked, segmentIds),
    distributed: async () => {
      const { users, ...seen } = await selectListsOnWorkers(db, asked.map(refOf), segmentIds);
      return { ...seen, users: users.map((user) => user && { overrides: user.overrides, subject: undefined }) };
    },
  });
}

async function selectListsAtOnce(
  db: Db,
  asked: readonly AskedUser[],
  segmentIds?: readonly number[],
): Promise<FoundUsers> {
  const values = refsOf(asked);
  const rows = await db.rows<[revision: number, overrides: string]>(
    segmentIds ? { ...someLists, values: [...values, segmentIds] } : { ...allLists, values },
  );
  const each = rows.flatMap(([, overrides]) => overrides.split(';'));
  return {
    revision: rows[0]?.[0] ?? 0,
    now: 0,
    users: each.map((one) => (one === '' ? undefined : { overrides: one, subject: undefined })),
  };
}

/** All but the first two are null for an unknown user, the attributes for one whose version the caller has. */
type SubjectRow = [
  revision: number | null,
  now: number | null,
  overrides: string | null,
  id: number | null,
  version: number | null,
  external_id: string | null,
  attributes: JsonObject | null,
];

export function selectSubjects(
  db: Db,
  asked: readonly AskedUser[],
  segmentIds?: readonly number[],
): Promise<FoundUsers> {
  return inForm(db, {
    single: () => selectSubjectsAtOnce(db, asked, segmentIds),
    distributed: async () => {
      const known = asked.flatMap((one) => one.known ?? []);
      const { users, ...seen } = await selectSubjectsOnWorkers(db, asked.map(refOf), known, segmentIds);
      return {
        ...seen,
        users: users.map((user) => {
          if (!user) return undefined;
          const { overrides, attributes, ...subject } = user;
          return { overrides, subject: attributes === null ? undefined : { ...subject, attributes } };
        }),
      };
    },
  });
}

async function selectSubjectsAtOnce(
  db: Db,
  asked: readonly AskedUser[],
  segmentIds?: readonly number[],
): Promise<FoundUsers> {
  const values = [
    ...refsOf(asked),
    bigintArray(asked, ({ known }) => known?.id),
    bigintArray(asked, ({ known }) => known?.version),
  ];
  const rows = await db.rows<SubjectRow>(
    segmentIds ? { ...someSubjects, values: [...values, segmentIds] } : { ...allSubjects, values },
  );
  return {
    revision: rows[0]?.[0] ?? 0,
    now: rows[0]?.[1] ?? 0,
    users: rows.map(([, , overrides, id, version, external_id, attributes]) => {
      if (overrides === null || id === null || version === null) return undefined;
      return { overrides, subject: attributes === null ? undefined : { id, version, external_id, attributes } };
    }),
  };
}
