import { Turns } from '../../concurrency/turns.ts';
import type { Db } from '../../postgres/database.ts';
import { compileDefinition, type Definitions, definitionsOf } from '../../segmentation/definition.ts';
import { selectChangedSince } from './segments.sql.ts';

/** The definitions compiled in memory under their revision. A reader that finds a newer revision asks for that one. */
export interface DefinitionCache {
  readonly db: Db;
  current: Definitions;
  refreshing: Promise<Definitions> | undefined;
}

export function createDefinitionCache(db: Db): DefinitionCache {
  return { db, current: definitionsOf(-1, []), refreshing: undefined };
}

/**
 * Drops what is in memory. After a failover the database may lack the last changes, and count other ones by the same revisions.
 */
export function forgetDefinitions(cache: DefinitionCache): void {
  cache.current = definitionsOf(-1, []);
}

/**
 * Definitions of at least this revision, which a statement saw that was given the definitions `given`. Revisions only grow: a
 * lower one than was given is of a database that has lost changes.
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
  // A refresh under way may have read before this call began: wait for it, then read again.
  await cache.refreshing?.catch(() => undefined);
  return cache.refreshing ?? startRefresh(cache);
}

function startRefresh(cache: DefinitionCache): Promise<Definitions> {
  cache.refreshing = refresh(cache).finally(() => {
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
    // Dropped meanwhile: what changed since is not all then.
    if (cache.current !== base) return refresh(cache);
    cache.current = definitionsOf(revision, byId.values());
  }
  return cache.current;
}
