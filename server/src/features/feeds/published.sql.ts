import type { ChangeCause } from '@kohort/contract';
import sql from 'sql-template-tag';
import type { Db, Tx } from '../../postgres/database.ts';
import { stands } from '../memberships/memberships.ts';

/** The segments in which a user is a published member. */
export async function selectPublishedSegments(tx: Db, userId: number): Promise<number[]> {
  const rows = await tx.query<{ segment_id: number }>(sql`
    SELECT m.segment_id FROM feed_members m WHERE m.user_id = ${userId} ORDER BY m.segment_id`);
  return rows.map(({ segment_id }) => segment_id);
}

export interface Pair {
  readonly segmentId: number;
  readonly userId: number;
}

/** Whether each pair is a published member. Pairs that are not filled yet are left out. */
export function selectPublished(
  tx: Tx,
  pairs: readonly Pair[],
): Promise<{ segment_id: number; user_id: number; is_in: boolean }[]> {
  return tx.query<{ segment_id: number; user_id: number; is_in: boolean }>(sql`
    SELECT p.segment_id, p.user_id, m.user_id IS NOT NULL AS is_in
    FROM unnest(${pairs.map(({ segmentId }) => segmentId)}::bigint[], ${pairs.map(({ userId }) => userId)}::bigint[])
        AS p(segment_id, user_id)
      JOIN feed_segments s ON s.segment_id = p.segment_id AND s.filled_to >= p.user_id
      LEFT JOIN feed_members m ON m.segment_id = p.segment_id AND m.user_id = p.user_id`);
}

export async function insertPublished(tx: Tx, pairs: readonly Pair[]): Promise<void> {
  if (pairs.length === 0) return;
  await tx.write(sql`
    INSERT INTO feed_members (segment_id, user_id)
    SELECT * FROM unnest(${pairs.map(({ segmentId }) => segmentId)}::bigint[], ${pairs.map(({ userId }) => userId)}::bigint[])`);
}

export async function deletePublished(tx: Tx, pairs: readonly Pair[]): Promise<void> {
  if (pairs.length === 0) return;
  await tx.write(sql`
    DELETE FROM feed_members m
    USING unnest(${pairs.map(({ segmentId }) => segmentId)}::bigint[], ${pairs.map(({ userId }) => userId)}::bigint[])
      AS p(segment_id, user_id)
    WHERE m.segment_id = p.segment_id AND m.user_id = p.user_id`);
}

/** The pairs whose user is in by the override that is in force at that time. */
export async function selectIncluded(tx: Tx, pairs: readonly Pair[], at: Date): Promise<Pair[]> {
  const rows = await tx.query<{ segment_id: number; user_id: number }>(sql`
    SELECT m.segment_id, m.user_id
    FROM unnest(${pairs.map(({ segmentId }) => segmentId)}::bigint[], ${pairs.map(({ userId }) => userId)}::bigint[])
        AS p(segment_id, user_id)
      JOIN memberships m ON m.segment_id = p.segment_id AND m.user_id = p.user_id
    WHERE m.mode = 'include' AND ${stands(sql`m`, sql`${at}::timestamptz`)}`);
  return rows.map(({ segment_id, user_id }) => ({ segmentId: segment_id, userId: user_id }));
}

/** A change of one member, to be published. */
export interface MemberChange extends Pair {
  readonly type: 'entered' | 'left';
  readonly at: Date;
  readonly cause: ChangeCause;
  readonly actor: string;
  /** Undefined: read from the user's row. */
  readonly externalId?: string | null;
}

/** Part of a statement, a table: the external ids of those users, so that Citus asks its workers for no others. */
export const externalIdsOf = (userIds: readonly number[]) =>
  sql`(SELECT n.id, n.external_id FROM users n WHERE n.id = ANY(${userIds}::bigint[]))`;

/** Draws ids in the order of the changes. */
export async function insertChanges(tx: Tx, changes: readonly MemberChange[]): Promise<void> {
  if (changes.length === 0) return;
  const column = <T>(of: (change: MemberChange) => T) => changes.map(of);
  await tx.write(sql`
    INSERT INTO feed_changes (type, segment_id, slug, user_id, external_id, at, cause, actor)
    SELECT c.type, c.segment_id, s.slug, c.user_id, coalesce(c.external_id, u.external_id), c.at, c.cause, c.actor
    FROM unnest(
        ${column(({ type }) => type)}::text[], ${column(({ segmentId }) => segmentId)}::bigint[],
        ${column(({ userId }) => userId)}::bigint[], ${column(({ externalId }) => externalId ?? null)}::text[],
        ${column(({ at }) => at)}::timestamptz[], ${column(({ cause }) => cause)}::text[], ${column(({ actor }) => actor)}::text[]
      ) WITH ORDINALITY AS c(type, segment_id, user_id, external_id, at, cause, actor, ord)
      JOIN segments s ON s.id = c.segment_id
      LEFT JOIN ${externalIdsOf(column(({ userId }) => userId))} u ON u.id = c.user_id
    ORDER BY c.ord`);
}

/** A change of a definition, for every feed that follows the segment. */
export async function insertSegmentChange(
  tx: Tx,
  segmentId: number,
  {
    at,
    actor,
    before,
    after,
  }: {
    readonly at: Date;
    readonly actor: string;
    readonly before: object | null;
    readonly after: object | null;
  },
): Promise<void> {
  await tx.write(sql`
    INSERT INTO feed_changes (type, segment_id, slug, at, cause, actor, before, after, definition_bytes)
    WITH segment AS MATERIALIZED (SELECT s.id, s.slug FROM segments s WHERE s.id = ${segmentId})
    SELECT 'segment', s.id, s.slug, ${at}::timestamptz, ${after === null ? 'deletion' : 'definition'}, ${actor},
      d.before, d.after, coalesce(octet_length(d.before::text), 0) + coalesce(octet_length(d.after::text), 0)
    FROM segment s,
      (SELECT ${before && JSON.stringify(before)}::jsonb AS before, ${after && JSON.stringify(after)}::jsonb AS after) d
    WHERE EXISTS (SELECT 1 FROM feed_segments t WHERE t.segment_id = s.id)`);
}
