import { randomBytes } from 'node:crypto';
import { Problem } from '@kohort/contract';
import { type Cursors, fitting, pageOf, placeWithin } from '../../paging/cursors.ts';
import type { Database, Db, Transactor, Tx } from '../../postgres/database.ts';
import { violatedConstraint } from '../../postgres/errors.ts';
import { equals, type Json, type JsonObject } from '../../segmentation/conditions/json.ts';
import { toWire } from '../../segmentation/conditions/references.ts';
import { hasFeeds, recordDefinition } from '../outbox/outbox.ts';
import {
  checkOverlap,
  checkTogether,
  type NamedSegment,
  noRule,
  type RuleInput,
  readRule,
  refuse,
} from './definition-input.ts';
import { definitionOnWire } from './on-wire.ts';
import { type KeyTags, unknownSegment } from './scope.ts';
import {
  type DefinitionFields,
  insertSegment,
  insertVersion,
  markFollowed,
  raiseRevision,
  replaceReferences,
  type SegmentRow,
  selectBySlug,
  selectBySlugForChange,
  selectConditionBytes,
  selectDependents,
  selectNow,
  selectSegments,
  selectSlugs,
  selectUsedBy,
  selectVersions,
  updateSegment,
} from './segments.sql.ts';

export { noRule, type ReadRule, type RuleInput, readRule } from './definition-input.ts';
export type { DefinitionFields, RuleFields } from './segments.sql.ts';

/** A segment whose condition names others by slug, as on the wire. */
export interface Segment extends Omit<SegmentRow, 'revision' | 'deleted_at' | 'condition_bytes'> {}

export interface SegmentInput extends RuleInput {
  readonly description?: string | null;
  readonly tags?: readonly string[] | null;
}

export interface SegmentsContext {
  readonly db: Database;
  readonly cursors: Cursors;
}

interface Page {
  readonly limit?: number;
  readonly cursor?: string;
}

export { type DefinitionCache, definitionsAt, freshDefinitions } from './definitions.ts';
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
export { markFollowed, unmarkFollowed } from './segments.sql.ts';

function slugTaken(slug: string): Problem {
  return new Problem('slug_taken', `A segment with the slug ${slug} exists.`);
}

export async function createSegment(
  within: Transactor,
  { slug, description = null, tags, ...input }: SegmentInput & { readonly slug: string },
  actor: string,
): Promise<{ id: number }> {
  return within.transaction(async (tx) => {
    const revision = await raiseRevision(tx);
    const { fields, named = [] } = await readRule(tx, input);
    const definition = { ...noRule, ...fields, slug, description, tags: [...new Set(tags)] };
    const now = await selectNow(tx);
    if (await selectBySlug(tx, slug)) throw slugTaken(slug);
    await checkOverlap(tx, definition.layer);
    const id = await insertSegment(tx, definition, { salt: randomBytes(16).toString('hex'), revision, now });
    if (id === undefined) throw slugTaken(slug);
    if (definition.condition) await refuseTooMuch(tx);
    if (named.length > 0) await replaceReferences(tx, id, idsOf(named));
    await insertVersion(tx, id, { at: now, actor, action: 'create' });
    await recordChange(tx, id, {
      version: 1,
      at: now,
      actor,
      decides: true,
      waits: false,
      before: null,
      after: definition,
    });
    return { id };
  });
}

/** A page of the segments that match all of it. */
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

/** `ifMatch`: the change is for such versions only. */
export interface ChangeOptions {
  readonly actor: string;
  readonly ifMatch?: (version: number) => boolean;
}

export async function changeSegment(
  db: Database,
  slug: string,
  input: SegmentInput & { readonly slug?: string },
  options: ChangeOptions,
): Promise<Segment> {
  try {
    return await db.transaction((tx) => changeWithin(tx, slug, input, options));
  } catch (error) {
    if (violatedConstraint(error) === 'segments_slug_key') throw slugTaken(input.slug ?? slug);
    throw error;
  }
}

/** A change within a transaction that does more. */
export async function changeWithin(
  tx: Tx,
  slug: string,
  input: SegmentInput & { readonly slug?: string },
  { actor, ifMatch }: ChangeOptions,
): Promise<Segment> {
  const revision = await raiseRevision(tx);
  // Refusals in their order: what is wrong with the request, then what is not there, then what is in the way.
  const { fields, named } = await readRule(tx, input);
  const before = await selectBySlugForChange(tx, slug);
  if (!before) throw unknownSegment(slug);
  const after: DefinitionFields = {
    ...asDefinition(before),
    ...fields,
    ...(input.slug !== undefined && { slug: input.slug }),
    ...(input.description !== undefined && { description: input.description }),
    ...(input.tags !== undefined && { tags: [...new Set(input.tags)] }),
  };
  checkTogether(after);
  if (named) await checkCycles(tx, before.id, named);
  if (ifMatch && !ifMatch(before.version)) {
    throw new Problem('version_stale', `The segment is at version ${before.version} by now.`);
  }
  if (sameDefinition(before, after)) return nameResolved(tx, before);
  await checkOverlap(tx, after.layer, before.id);
  if (named) await replaceReferences(tx, before.id, idsOf(named));
  const now = await selectNow(tx);
  const changed = await updateSegment(tx, before.id, after, { revision, now });
  if (!changed) throw unknownSegment(slug);
  if (named && changed.condition_bytes > before.condition_bytes) await refuseTooMuch(tx);
  await insertVersion(tx, before.id, { at: now, actor, action: 'update' });
  const marksOthers = named ? await markFollowed(tx) : false;
  await recordChange(tx, before.id, {
    version: changed.version,
    at: now,
    actor,
    decides: !sameRule(before, after),
    waits: marksOthers || isRule(before) !== isRule(after),
    before,
    after,
  });
  return nameResolved(tx, changed);
}

interface RecordedChange {
  readonly version: number;
  readonly at: Date;
  readonly actor: string;
  readonly decides: boolean;
  readonly waits: boolean;
  readonly before: DefinitionFields | null;
  readonly after: DefinitionFields | null;
}

/** What feeds may have to tell of a change of a definition. The transaction has the lock on definitions. */
export async function recordChange(tx: Tx, id: number, { before, after, ...change }: RecordedChange): Promise<void> {
  if (!(await hasFeeds(tx))) return;
  const onWire = async (fields: DefinitionFields | null) => fields && definitionOnWire(await nameResolved(tx, fields));
  await recordDefinition(tx, id, { ...change, before: await onWire(before), after: await onWire(after) });
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
  // One row more for the next page; the same row is what stood before the oldest event of this one.
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

/** Every process keeps them all, compiled. */
const maxConditionBytes = 64 * 1024 * 1024;

async function refuseTooMuch(tx: Tx): Promise<void> {
  if ((await selectConditionBytes(tx)) <= maxConditionBytes) return;
  throw new Problem('conditions_exhausted', 'The conditions of all segments may take 64 MiB of JSON together.');
}

async function find(db: Db, slug: string): Promise<SegmentRow> {
  const segment = await selectBySlug(db, slug);
  if (!segment) throw unknownSegment(slug);
  return segment;
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

function idsOf(named: readonly NamedSegment[]): number[] {
  return [...new Set(named.map(({ id }) => id))];
}

async function checkCycles(tx: Tx, id: number, named: readonly NamedSegment[]): Promise<void> {
  if (named.length === 0) return;
  const dependents = new Set(await selectDependents(tx, id, idsOf(named)));
  const circular = named.filter((one) => dependents.has(one.id));
  if (circular.length > 0) {
    throw refuse(circular.map(({ at }) => ({ path: at, message: 'makes the segment depend on itself' })));
  }
}

function sameDefinition(a: DefinitionFields, b: DefinitionFields): boolean {
  // As they would be stored, and with it compared by value: dates become texts.
  const stored = (fields: DefinitionFields): Json => JSON.parse(JSON.stringify(asDefinition(fields)));
  return equals(stored(a), stored(b));
}

function sameRule(a: DefinitionFields, b: DefinitionFields): boolean {
  const named = { slug: '', description: null, tags: [] };
  return sameDefinition({ ...a, ...named }, { ...b, ...named });
}

function isRule({ percentage, ramp, layer, condition }: DefinitionFields): boolean {
  return percentage !== null || ramp !== null || layer !== null || condition !== null;
}

function asDefinition(fields: DefinitionFields): DefinitionFields {
  const { slug, description, tags, percentage, ramp, layer, bucket_by, condition, active_from, active_until } = fields;
  return { slug, description, tags, percentage, ramp, layer, bucket_by, condition, active_from, active_until };
}
