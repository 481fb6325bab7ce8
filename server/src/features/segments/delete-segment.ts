import { Problem } from '@kohort/contract';
import { enqueue, failAllOfSegment } from '../../jobs/queue.ts';
import type { Database, Tx } from '../../postgres/database.ts';
import { purgeSmallSegment } from '../memberships/memberships.ts';
import { type DefinitionCache, freshDefinitions } from './definitions.ts';
import {
  insertVersion,
  markDeleted,
  raiseRevision,
  replaceReferences,
  selectBySlugForUpdate,
  selectNow,
  selectUsedBy,
} from './segments.sql.ts';
import { recordChange, unknownSegment } from './segments.ts';

export interface DeletionContext {
  readonly db: Database;
  readonly definitions: DefinitionCache;
}

/**
 * Deletes a segment. Imports into it are given up first, so that the deletion does not wait for them; then one transaction
 * makes it invisible to every read and queues the removal of its members; those of a small one are gone before the answer.
 */
export async function deleteSegment(context: DeletionContext, slug: string, actor: string): Promise<void> {
  await giveUpImports(context, slug);
  const id = await context.db.transaction((tx) => deleteWithin(tx, slug, actor));
  await purgeSmallSegment(context.db, id);
}

async function giveUpImports({ db, definitions }: DeletionContext, slug: string): Promise<void> {
  const { bySlug, byId } = await freshDefinitions(definitions);
  const definition = bySlug.get(slug);
  // One that others name will not be deleted.
  const isNamed = [...byId.values()].some(({ references }) => definition && references.includes(definition.id));
  if (definition && !isNamed) await failAllOfSegment(db, definition.id, 'the segment was deleted');
}

/** The deletion itself, within a transaction that may do more; its members are purged later. */
export async function deleteWithin(tx: Tx, slug: string, actor: string): Promise<number> {
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
  await recordChange(tx, segment.id, {
    version: segment.version + 1,
    at: now,
    actor,
    decides: true,
    waits: false,
    before: segment,
    after: null,
  });
  await enqueue(tx, 'purge_segment', { segment: segment.id });
  return segment.id;
}
