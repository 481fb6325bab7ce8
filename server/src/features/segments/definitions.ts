import { onBehalfOf, theService } from '../../concurrency/party.ts';
import { Turns } from '../../concurrency/turns.ts';
import type { Db } from '../../postgres/database.ts';
import { compileDefinition } from '../../segmentation/definition.ts';
import { type Definitions, definitionsOf } from '../../segmentation/definitions.ts';
import { selectChangedSince } from './definitions.sql.ts';

/** The compiled definitions in memory, with their revision. A reader that sees a newer revision asks for that one. */
export interface DefinitionCache {
  readonly db: Db;
  current: Definitions;
  refreshing: Promise<Definitions> | undefined;
}

export function createDefinitionCache(db: Db): DefinitionCache {
  return { db, current: definitionsOf(-1, []), refreshing: undefined };
}

/** Clears the cache. After a failover the database may lack the last changes, and reuse their revisions for others. */
export function forgetDefinitions(cache: DefinitionCache): void {
  cache.current = definitionsOf(-1, []);
}

/**
 * Definitions of at least this revision, seen by a statement that was given the definitions `given`. Revisions only grow: one below
 * that of `given` means that the database has lost changes.
 */
export async function definitionsAt(
  cache: DefinitionCache,
  revision: number,
  given?: Definitions,
): Promise<Definitions> {
  if (given && revision < given.revision && cache.current === given) forgetDefinitions(cache);
  while (cache.current.revision < revision) await (cache.refreshing ?? startRefresh(cache));
  return cache.current;
}

/** Definitions no older than this call. */
export async function freshDefinitions(cache: DefinitionCache): Promise<Definitions> {
  // A running refresh may have read before this call started: wait for it, then read again.
  await cache.refreshing?.catch(() => undefined);
  return cache.refreshing ?? startRefresh(cache);
}

function startRefresh(cache: DefinitionCache): Promise<Definitions> {
  cache.refreshing = onBehalfOf(theService, () => refresh(cache)).finally(() => {
    cache.refreshing = undefined;
  });
  return cache.refreshing;
}

async function refresh(cache: DefinitionCache): Promise<Definitions> {
  // Only what changed is read again; a fresh start reads everything, since every revision is above -1.
  const base = cache.current;
  const { revision, segments } = await selectChangedSince(cache.db, base.revision);
  if (revision !== base.revision) {
    const byId = new Map(base.byId);
    const turns = new Turns();
    for (const segment of segments) {
      if (segment.deleted_at) byId.delete(segment.id);
      else byId.set(segment.id, compileDefinition(segment));
      if (turns.isOver) await turns.pause();
    }
    // The cache was cleared meanwhile, so the changes read are not everything.
    if (cache.current !== base) return refresh(cache);
    cache.current = definitionsOf(revision, byId.values());
  }
  return cache.current;
}
