import { Problem } from '@kohort/contract';
import { enqueue, failAllOfSegment } from '../../jobs/queue.ts';
import type { Database, Tx } from '../../postgres/database.ts';
import { takeTurn } from '../fences/fences.ts';
import { keepChangesAway, purgeSmallSegment } from '../memberships/memberships.ts';
import { recordChange } from './change-segment.ts';
import { raiseRevision } from './definitions.sql.ts';
import { type DefinitionCache, freshDefinitions } from './definitions.ts';
import { replaceReferences, selectUsedBy } from './references.sql.ts';
import { unknownSegment } from './scope.ts';
import { markDeleted, selectBySlugForUpdate, selectLiveId, selectNow } from './segments.sql.ts';
import { insertVersion } from './versions.sql.ts';

export interface DeletionContext {
  readonly db: Database;
  readonly definitions: DefinitionCache;
}

/**
 * Deletes a segment. Imports into it are failed first, so that the deletion does not wait for them. Then one transaction hides
 * it from every read and queues the removal of its members. The members of a small one are gone before the answer.
 */
export async function deleteSegment(context: DeletionContext, slug: string, actor: string): Promise<void> {
  await giveUpImports(context, slug);
  const id = await context.db.transaction((tx) => deleteWithin(tx, slug, actor));
  await purgeSmallSegment(context.db, id);
}

async function giveUpImports({ db, definitions }: DeletionContext, slug: string): Promise<void> {
  const { bySlug, byId } = await freshDefinitions(definitions);
  const definition = bySlug.get(slug);
  // A segment that others name will not be deleted.
  const isNamed = [...byId.values()].some(({ references }) => definition && references.includes(definition.id));
  if (definition && !isNamed) await failAllOfSegment(db, definition.id, 'the segment was deleted');
}

/** There an import does not lock the key of its segment; it has the turn. */
async function waitForImport(tx: Tx, slug: string): Promise<void> {
  const id = await selectLiveId(tx, slug);
  if (id !== undefined) await takeTurn(tx, id);
}

/** The deletion itself, within a transaction that may do more; its members are purged later. */
export async function deleteWithin(tx: Tx, slug: string, actor: string): Promise<number> {
  if (tx.isDistributed) await waitForImport(tx, slug);
  const revision = await raiseRevision(tx);
  // There the key of a segment cannot be locked together with a user.
  if (tx.isDistributed) await keepChangesAway(tx);
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
