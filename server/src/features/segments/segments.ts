import type { Cursors } from '../../paging/cursors.ts';
import { fitting, pageOf, placeWithin } from '../../paging/cursors.ts';
import type { Database, Db } from '../../postgres/database.ts';
import { nameResolved, namesResolved } from './condition-slugs.ts';
import { selectUsedBy } from './references.sql.ts';
import { type KeyTags, unknownSegment } from './scope.ts';
import { asDefinition, type DefinitionFields, type Segment, type SegmentRow } from './segment-rows.sql.ts';
import { selectBySlug, selectSegments } from './segments.sql.ts';
import { selectVersions } from './versions.sql.ts';

export { type ChangeOptions, changeSegment, createSegment, type SegmentInput } from './change-segment.ts';
export { noRule, type ReadRule, type RuleInput, readRule } from './definition-input.ts';
export { type DefinitionCache, definitionsAt, freshDefinitions } from './definitions.ts';
export { markFollowed, unmarkFollowed } from './followed.sql.ts';
export { type KeptDefinitions, pastDefinitions } from './past-definitions.ts';
export {
  type KeyTags,
  refuseUnseen,
  refuseUnseenInCondition,
  seenIds,
  seenSlugs,
  slugsWithTags,
  unknownSegment,
} from './scope.ts';
export type { DefinitionFields, RuleFields, Segment } from './segment-rows.sql.ts';

export interface SegmentsContext {
  readonly db: Database;
  readonly cursors: Cursors;
}

interface Page {
  readonly limit?: number;
  readonly cursor?: string;
}

/** A page of the segments that match all filters. */
export interface SegmentsPage extends Page {
  readonly query?: string;
  readonly tag?: string;
  readonly keyTags?: KeyTags;
}

export async function listSegments(
  { db, cursors }: SegmentsContext,
  { query, tag, keyTags, limit = 100, cursor }: SegmentsPage,
): Promise<{ segments: Segment[]; next_cursor: string | null }> {
  const [after] = cursor === undefined ? [''] : cursors.decode('segments', cursor);
  const found = await selectSegments(db, { query, tag, keyTags, after: String(after), limit: limit + 1 });
  const { rows, next_cursor } = pageOf(found, Math.min(limit, fitting(found)), (last) =>
    cursors.encode('segments', [last.slug]),
  );
  return { segments: await namesResolved(db, rows), next_cursor };
}

export async function readSegment(db: Db, slug: string): Promise<Segment & { used_by: string[] }> {
  const segment = await find(db, slug);
  return { ...(await nameResolved(db, segment)), used_by: await selectUsedBy(db, segment.id) };
}

/** @throws Problem 404 */
export async function idOfSegment(db: Db, slug: string): Promise<number> {
  const { id } = await find(db, slug);
  return id;
}

export interface DefinitionChange {
  readonly at: Date;
  readonly actor: string;
  readonly action: 'create' | 'update' | 'delete';
  readonly before: DefinitionFields | null;
  readonly after: DefinitionFields | null;
}

/** The changes of a definition, newest first. */
export async function historyOfSegment(
  { db, cursors }: SegmentsContext,
  slug: string,
  { limit = 100, cursor }: Page,
): Promise<{ events: DefinitionChange[]; next_cursor: string | null }> {
  const decoded = cursor === undefined ? undefined : cursors.decode('segment-history', cursor);
  const { id } = await find(db, slug);
  const [before] = placeWithin(id, decoded) ?? [Number.MAX_SAFE_INTEGER];
  // One more row shows whether there is a next page, and is the state before the oldest event of this one.
  const found = await namesResolved(db, await selectVersions(db, id, { before: Number(before), limit: limit + 1 }));
  const { rows, next_cursor } = pageOf(found, Math.min(limit, fitting(found)), (last) =>
    cursors.encode('segment-history', [id, last.version]),
  );
  const events = rows.map(({ at, actor, action, ...fields }, i) => {
    const previous = found[i + 1];
    return {
      at,
      actor,
      action,
      before: previous ? asDefinition(previous) : null,
      after: action === 'delete' ? null : asDefinition(fields),
    };
  });
  return { events, next_cursor };
}

async function find(db: Db, slug: string): Promise<SegmentRow> {
  const segment = await selectBySlug(db, slug);
  if (!segment) throw unknownSegment(slug);
  return segment;
}
