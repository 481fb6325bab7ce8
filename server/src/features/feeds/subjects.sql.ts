import sql, { type Sql } from 'sql-template-tag';
import type { Db } from '../../postgres/database.ts';
import type { JsonObject } from '../../segmentation/conditions/json.ts';
import type { TimedOverride, TimedSubject } from '../../segmentation/next-moment.ts';
import type { Mode } from '../../segmentation/overrides.ts';
import { keyOf } from '../../segmentation/subject.ts';

/** `[segment, mode, milliseconds since 1970 or null]` */
type StoredOverride = readonly [segment: number, mode: Mode, expiresAt: number | null];

interface SubjectRow {
  readonly id: number;
  readonly external_id: string | null;
  /** As text: the driver would parse the attributes of all rows in one turn of the event loop. */
  readonly attributes: string;
  readonly overrides: readonly StoredOverride[] | null;
}

/** A user's row, parsed on first use: parsing all rows of a statement at once would block the event loop. */
export type Subject = () => TimedSubject;

function subjectOf(row: SubjectRow): Subject {
  let parsed: TimedSubject | undefined;
  return () => {
    parsed ??= parse(row);
    return parsed;
  };
}

function parse(row: SubjectRow): TimedSubject {
  const overrides = (row.overrides ?? []).map(([segment, mode, expiresAt]): [number, TimedOverride] => [
    segment,
    { mode, expiresAt: expiresAt ?? Number.POSITIVE_INFINITY },
  ]);
  return {
    key: keyOf(row),
    attributes: JSON.parse(row.attributes) as JsonObject,
    overrides: new Map(overrides),
  };
}

/** An override as an array of JSON. */
const stored = (row: Sql) =>
  sql`json_build_array(${row}.segment_id, ${row}.mode, floor(extract(epoch FROM ${row}.expires_at) * 1000))`;

/** The overrides of `u` in these segments, including expired ones that are not swept yet. */
const overridesIn = (segmentIds: readonly number[]) => sql`
  (SELECT json_agg(${stored(sql`m`)}) FROM memberships m
    WHERE m.user_id = u.id AND m.segment_id = ANY(${segmentIds}::bigint[]))`;

/** Users as they are now, with their overrides in these segments. Erased users are missing. */
export async function selectSubjects(
  db: Db,
  userIds: readonly number[],
  segmentIds: readonly number[],
): Promise<Map<number, Subject>> {
  const rows = await db.query<SubjectRow>(sql`
    SELECT u.id, u.external_id, u.attributes::text AS attributes, ${overridesIn(segmentIds)} AS overrides
    FROM users u
    WHERE u.id = ANY(${userIds}::bigint[])`);
  return new Map(rows.map((row) => [row.id, subjectOf(row)]));
}

/** The next users by id. */
export async function selectSubjectsAfter(
  db: Db,
  segmentIds: readonly number[],
  { after, limit }: { readonly after: number; readonly limit: number },
): Promise<Map<number, Subject>> {
  const rows = await db.query<SubjectRow>(sql`
    SELECT u.id, u.external_id, u.attributes::text AS attributes, ${overridesIn(segmentIds)} AS overrides
    FROM users u
    WHERE u.id > ${after}
    ORDER BY u.id
    LIMIT ${limit}`);
  return new Map(rows.map((row) => [row.id, subjectOf(row)]));
}

export interface PastMoment {
  readonly userId: number;
  readonly at: Date;
}

/** Users as of past moments, in the order given; undefined for a user who is erased or was not registered yet. */
export async function selectPastSubjects(
  db: Db,
  moments: readonly PastMoment[],
  segmentIds: readonly number[],
): Promise<(Subject | undefined)[]> {
  if (moments.length === 0) return [];
  const rows = await db.query<SubjectRow & { ord: number }>(sql`
    SELECT p.ord, u.id, u.external_id,
      coalesce((
        SELECT v.attributes::text FROM attribute_versions v
        WHERE v.user_id = u.id AND v.at <= p.at
        ORDER BY v.version DESC LIMIT 1
      ), '{}') AS attributes,
      (
        SELECT json_agg(${stored(sql`l`)})
        FROM (
          SELECT DISTINCT ON (h.segment_id) h.segment_id, h.op, h.mode, h.expires_at
          FROM history h
          WHERE h.user_id = u.id AND h.segment_id = ANY(${segmentIds}::bigint[]) AND h.at <= p.at
          ORDER BY h.segment_id, h.seq DESC
        ) l
        WHERE l.op IN ('add', 'update')
      ) AS overrides
    FROM unnest(${moments.map(({ userId }) => userId)}::bigint[], ${moments.map(({ at }) => at)}::timestamptz[])
        WITH ORDINALITY AS p(user_id, at, ord)
      JOIN users u ON u.id = p.user_id
    WHERE u.created_at <= p.at`);
  const found = new Map(rows.map((row) => [row.ord, subjectOf(row)]));
  return moments.map((_, i) => found.get(i + 1));
}
