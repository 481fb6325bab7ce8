import { randomBytes } from 'node:crypto';
import { Problem } from '@kohort/contract';
import { type Cursors, pageOf, placeWithin } from '../../paging/cursors.ts';
import type { Database, Db, Transactor, Tx } from '../../postgres/database.ts';
import { violatedConstraint } from '../../postgres/errors.ts';
import { isPercentage } from '../../segmentation/bucket.ts';
import { equals, type JsonObject } from '../../segmentation/conditions/json.ts';
import { parseCondition } from '../../segmentation/conditions/parse.ts';
import { references, toStored, toWire } from '../../segmentation/conditions/references.ts';
import { type KeyTags, unknownSegment } from './scope.ts';
import {
  type DefinitionFields,
  insertSegment,
  insertVersion,
  markDeleted,
  raiseRevision,
  replaceReferences,
  type SegmentRow,
  selectBySlug,
  selectBySlugForChange,
  selectBySlugForUpdate,
  selectDependents,
  selectIds,
  selectNow,
  selectSegments,
  selectSlugs,
  selectUsedBy,
  selectVersions,
  updateSegment,
} from './segments.sql.ts';

/** A segment as the wire has it: its condition names others by slug. */
export interface Segment extends Omit<SegmentRow, 'revision' | 'deleted_at'> {}

export interface SegmentInput {
  readonly description?: string | null;
  readonly tags?: readonly string[] | null;
  readonly percentage?: number | null;
  readonly condition?: Readonly<Record<string, unknown>> | null;
}

export interface DefinitionChange {
  readonly at: Date;
  readonly actor: string;
  readonly action: 'create' | 'update' | 'delete';
  readonly before: DefinitionFields | null;
  readonly after: DefinitionFields | null;
}

export interface Segments {
  create(within: Transactor, input: SegmentInput & { slug: string }, actor: string): Promise<{ id: number }>;
  list(page: {
    query?: string;
    tag?: string;
    keyTags?: KeyTags;
    limit?: number;
    cursor?: string;
  }): Promise<{ segments: Segment[]; next_cursor: string | null }>;
  read(slug: string): Promise<Segment & { used_by: string[] }>;
  /** `ifMatch`: the change is for such versions only. */
  change(
    slug: string,
    input: SegmentInput & { slug?: string },
    options: { actor: string; ifMatch?: (version: number) => boolean },
  ): Promise<Segment>;
  /** Answers the id of what was deleted. */
  remove(slug: string, actor: string): Promise<{ id: number }>;
  history(
    slug: string,
    page: { limit?: number; cursor?: string },
  ): Promise<{ events: DefinitionChange[]; next_cursor: string | null }>;
}

export type { DefinitionCache } from './definitions.ts';
export {
  type KeyTags,
  refuseUnseen,
  refuseUnseenInCondition,
  seenIds,
  seenSlugs,
  slugsWithTags,
  unknownSegment,
} from './scope.ts';

function slugTaken(slug: string): Problem {
  return new Problem('slug_taken', `A segment with the slug ${slug} exists.`);
}

function refuse(errors: readonly { path: string; message: string }[]): Problem {
  const [first] = errors;
  return new Problem('invalid', `${first?.path} ${first?.message}`, { errors: errors.slice(0, 20) });
}

export function checkPercentage(percentage: number | null): number | null {
  if (percentage !== null && !isPercentage(percentage)) {
    throw refuse([{ path: '/body/percentage', message: 'must be from 0 to 100 with at most 3 decimals' }]);
  }
  return percentage;
}

/**
 * Reads a condition of a request into the stored form and the ids that it names.
 * @throws Problem 400 with the place of everything that is wrong, unknown slugs included.
 */
export async function storeCondition(
  db: Db,
  wire: Readonly<Record<string, unknown>> | null,
): Promise<{ stored: JsonObject | null; referenced: { id: number; at: string }[] }> {
  if (wire === null) return { stored: null, referenced: [] };
  const parsed = parseCondition(wire, '/body/condition');
  if (!parsed.ok) throw refuse(parsed.errors);
  const mentions = references(parsed.condition);
  const ids = new Map(
    mentions.length === 0
      ? []
      : (
          await selectIds(
            db,
            mentions.map(({ segment }) => segment),
          )
        ).map(({ slug, id }) => [slug, id]),
  );
  const unknown = mentions.filter(({ segment }) => !ids.has(segment));
  if (unknown.length > 0) {
    throw refuse(unknown.map(({ at, segment }) => ({ path: at, message: `names ${segment}, which is no segment` })));
  }
  return {
    stored: toStored(wire, (slug) => ids.get(slug)),
    referenced: mentions.flatMap(({ segment, at }) => {
      const id = ids.get(segment);
      return id === undefined ? [] : [{ id, at }];
    }),
  };
}

/** Conditions with the current slugs in place of ids, all of them with one look-up. */
async function namesResolved<T extends { readonly condition: JsonObject | null }>(
  db: Db,
  rows: readonly T[],
): Promise<T[]> {
  const ids = new Set<number>();
  const collect = (id: number) => {
    ids.add(id);
    return '';
  };
  for (const { condition } of rows) if (condition) toWire(condition, collect);
  if (ids.size === 0) return [...rows];
  const slugs = new Map((await selectSlugs(db, [...ids])).map(({ id, slug }) => [id, slug]));
  return rows.map((row) => ({
    ...row,
    condition: row.condition && toWire(row.condition, (id) => slugs.get(id)),
  }));
}

async function nameResolved<T extends { readonly condition: JsonObject | null }>(db: Db, row: T): Promise<T> {
  return (await namesResolved(db, [row]))[0] ?? row;
}

async function checkCycles(tx: Tx, id: number, referenced: readonly { id: number; at: string }[]): Promise<void> {
  if (referenced.length === 0) return;
  const dependents = new Set(
    await selectDependents(
      tx,
      id,
      referenced.map((one) => one.id),
    ),
  );
  const circular = referenced.filter((one) => dependents.has(one.id));
  if (circular.length > 0) {
    throw refuse(circular.map(({ at }) => ({ path: at, message: 'makes the segment depend on itself' })));
  }
}

function sameDefinition(a: DefinitionFields, b: DefinitionFields): boolean {
  return (
    a.slug === b.slug &&
    a.description === b.description &&
    JSON.stringify(a.tags) === JSON.stringify(b.tags) &&
    a.percentage === b.percentage &&
    equals(a.condition ?? null, b.condition)
  );
}

function asDefinition({ slug, description, tags, percentage, condition }: DefinitionFields): DefinitionFields {
  return { slug, description, tags, percentage, condition };
}

export function createSegments({
  db,
  cursors,
  onDelete,
}: {
  db: Database;
  cursors: Cursors;
  /** What else happens in the transaction that deletes a segment. */
  onDelete: (tx: Tx, segmentId: number) => Promise<void>;
}): Segments {
  async function find(slug: string): Promise<SegmentRow> {
    const segment = await selectBySlug(db, slug);
    if (!segment) throw unknownSegment(slug);
    return segment;
  }

  return {
    async create(within, { slug, description = null, tags, percentage = null, condition = null }, actor) {
      checkPercentage(percentage);
      return within.transaction(async (tx) => {
        const revision = await raiseRevision(tx);
        const { stored, referenced } = await storeCondition(tx, condition);
        const now = await selectNow(tx);
        const salt = randomBytes(16).toString('hex');
        const fields = { slug, description, tags: [...new Set(tags)], percentage, condition: stored };
        const id = await insertSegment(tx, fields, { salt, revision, now });
        if (id === undefined) throw slugTaken(slug);
        if (referenced.length > 0) await replaceReferences(tx, id, [...new Set(referenced.map((one) => one.id))]);
        await insertVersion(tx, id, { at: now, actor, action: 'create' });
        return { id };
      });
    },

    async list({ query, tag, keyTags, limit = 100, cursor }) {
      const [after] = cursor === undefined ? [''] : cursors.decode('segments', cursor);
      const found = await selectSegments(db, { query, tag, keyTags, after: String(after), limit: limit + 1 });
      const { rows, next_cursor } = pageOf(found, limit, (last) => cursors.encode('segments', [last.slug]));
      return { segments: await namesResolved(db, rows), next_cursor };
    },

    async read(slug) {
      const segment = await find(slug);
      return { ...(await nameResolved(db, segment)), used_by: await selectUsedBy(db, segment.id) };
    },

    async change(slug, input, { actor, ifMatch }) {
      checkPercentage(input.percentage ?? null);
      try {
        return await db.transaction(async (tx) => {
          const revision = await raiseRevision(tx);
          // Refusals in their order: what is wrong with the request, then what is not there, then what is in the way.
          const condition = input.condition === undefined ? undefined : await storeCondition(tx, input.condition);
          const before = await selectBySlugForChange(tx, slug);
          if (!before) throw unknownSegment(slug);
          if (condition) await checkCycles(tx, before.id, condition.referenced);
          if (ifMatch && !ifMatch(before.version)) {
            throw new Problem('version_stale', `The segment is at version ${before.version} by now.`);
          }
          const after: DefinitionFields = {
            slug: input.slug ?? before.slug,
            description: input.description === undefined ? before.description : input.description,
            tags: input.tags === undefined ? before.tags : [...new Set(input.tags)],
            percentage: input.percentage === undefined ? before.percentage : input.percentage,
            condition: condition === undefined ? before.condition : condition.stored,
          };
          if (sameDefinition(before, after)) return nameResolved(tx, before);
          if (condition) {
            await replaceReferences(tx, before.id, [...new Set(condition.referenced.map((one) => one.id))]);
          }
          const now = await selectNow(tx);
          const changed = await updateSegment(tx, before.id, after, { revision, now });
          if (!changed) throw unknownSegment(slug);
          await insertVersion(tx, before.id, { at: now, actor, action: 'update' });
          return nameResolved(tx, changed);
        });
      } catch (error) {
        if (violatedConstraint(error) === 'segments_slug_key') throw slugTaken(input.slug ?? slug);
        throw error;
      }
    },

    async remove(slug, actor) {
      return db.transaction(async (tx) => {
        const revision = await raiseRevision(tx);
        const segment = await selectBySlugForUpdate(tx, slug);
        if (!segment) throw unknownSegment(slug);
        const usedBy = await selectUsedBy(tx, segment.id);
        if (usedBy.length > 0) {
          throw new Problem('segment_referenced', `The conditions of ${usedBy.join(', ')} name ${slug}.`);
        }
        const now = await selectNow(tx);
        await replaceReferences(tx, segment.id, []);
        await markDeleted(tx, segment.id, { revision, now, actor });
        await insertVersion(tx, segment.id, { at: now, actor, action: 'delete' });
        await onDelete(tx, segment.id);
        return { id: segment.id };
      });
    },

    async history(slug, { limit = 100, cursor }) {
      const decoded = cursor === undefined ? undefined : cursors.decode('segment-history', cursor);
      const { id } = await find(slug);
      const [before] = placeWithin(id, decoded) ?? [Number.MAX_SAFE_INTEGER];
      // One row more for the next page; the same row is what stood before the oldest event of this one.
      const found = await namesResolved(db, await selectVersions(db, id, { before: Number(before), limit: limit + 1 }));
      const { rows, next_cursor } = pageOf(found, limit, (last) =>
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
    },
  };
}
