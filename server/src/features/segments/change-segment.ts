import { randomBytes } from 'node:crypto';
import { Problem } from '@kohort/contract';
import type { Database, Transactor, Tx } from '../../postgres/database.ts';
import { violatedConstraint } from '../../postgres/errors.ts';
import { equals, type Json } from '../../segmentation/conditions/json.ts';
import { hasFeeds, recordDefinition } from '../outbox/outbox.ts';
import { nameResolved } from './condition-slugs.ts';
import {
  checkOverlap,
  checkTogether,
  type NamedSegment,
  noRule,
  type RuleInput,
  readRule,
  refuse,
} from './definition-input.ts';
import { raiseRevision, sumConditions, takeTurnOfDefinitions } from './definitions.sql.ts';
import { markFollowed } from './followed.sql.ts';
import { definitionOnWire } from './on-wire.ts';
import { replaceReferences, selectDependents } from './references.sql.ts';
import { unknownSegment } from './scope.ts';
import { asDefinition, type DefinitionFields, type Segment } from './segment-rows.sql.ts';
import {
  insertSegment,
  selectBySlug,
  selectBySlugForChange,
  selectLiveId,
  selectNow,
  updateSegment,
} from './segments.sql.ts';
import { insertVersion } from './versions.sql.ts';

export interface SegmentInput extends RuleInput {
  readonly description?: string | null;
  readonly tags?: readonly string[] | null;
}

function slugTaken(slug: string): Problem {
  return new Problem('slug_taken', `A segment with the slug ${slug} exists.`);
}

/** There the revision is raised on every node, one after the other: too long for many callers who want the same slug. */
async function refuseTakenSlug(tx: Tx, slug: string, rule: RuleInput): Promise<void> {
  await takeTurnOfDefinitions(tx);
  if ((await selectLiveId(tx, slug)) === undefined) return;
  // An invalid request is refused for that first.
  await readRule(tx, rule);
  throw slugTaken(slug);
}

export async function createSegment(
  within: Transactor,
  { slug, description = null, tags, ...input }: SegmentInput & { readonly slug: string },
  actor: string,
): Promise<{ id: number }> {
  return within.transaction(async (tx) => {
    if (tx.isDistributed) await refuseTakenSlug(tx, slug, input);
    const revision = await raiseRevision(tx);
    const { fields, named = [] } = await readRule(tx, input);
    const definition = { ...noRule, ...fields, slug, description, tags: [...new Set(tags)] };
    const now = await selectNow(tx);
    if (await selectBySlug(tx, slug)) throw slugTaken(slug);
    await checkOverlap(tx, definition.layer);
    const id = await insertSegment(tx, definition, { salt: randomBytes(16).toString('hex'), revision, now });
    if (id === undefined) throw slugTaken(slug);
    if (named.length > 0) await replaceReferences(tx, id, idsOf(named));
    if (definition.condition) await refuseTooMuch(tx);
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

/** `ifMatch`: applies the change to these versions only. */
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
  // Errors in order of precedence: an invalid request, then a missing segment, then a conflict.
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
    throw new Problem('version_stale', `The segment is at version ${before.version} now.`);
  }
  if (sameDefinition(before, after)) return nameResolved(tx, before);
  await checkOverlap(tx, after.layer, before.id);
  const namesMore = named ? await replaceReferences(tx, before.id, idsOf(named)) : false;
  const now = await selectNow(tx);
  const changed = await updateSegment(tx, before.id, after, { revision, now });
  if (!changed) throw unknownSegment(slug);
  if (namesMore || changed.condition_bytes > before.condition_bytes) await refuseTooMuch(tx);
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

/** Records a change of a definition for feeds. The transaction holds the lock on definitions. */
export async function recordChange(tx: Tx, id: number, { before, after, ...change }: RecordedChange): Promise<void> {
  if (!(await hasFeeds(tx))) return;
  const onWire = async (fields: DefinitionFields | null) => fields && definitionOnWire(await nameResolved(tx, fields));
  await recordDefinition(tx, id, { ...change, before: await onWire(before), after: await onWire(after) });
}

/** The bounds on all conditions: every process keeps them compiled, and orders them after each change. */
const maxConditionBytes = 64 * 1024 * 1024;
const maxMentions = 100_000;

async function refuseTooMuch(tx: Tx): Promise<void> {
  const { bytes, mentions } = await sumConditions(tx);
  if (bytes <= maxConditionBytes && mentions <= maxMentions) return;
  throw new Problem(
    'conditions_exhausted',
    'The conditions of all segments may take 64 MiB of JSON together, and name other segments 100,000 times.',
  );
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
  // In stored form, so that they are compared by value: dates become texts.
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
