import type { Db } from '../../postgres/database.ts';
import { compileDefinition, type Definitions, definitionsOf } from '../../segmentation/definition.ts';
import { selectChangedSince } from './segments.sql.ts';

/** Keeps the definitions compiled in memory under their revision. Whoever reads a newer revision asks for that one. */
export interface DefinitionCache {
  readonly current: () => Definitions;
  /** At least this revision. */
  readonly at: (revision: number) => Promise<Definitions>;
  /** No older than this call. */
  readonly fresh: () => Promise<Definitions>;
}

export function createDefinitionCache(db: Db): DefinitionCache {
  let current = definitionsOf(-1, []);
  let refreshing: Promise<Definitions> | undefined;

  async function refresh(): Promise<Definitions> {
    // Only what changed is read again; a fresh start reads everything, since every revision is above -1.
    const { revision, segments } = await selectChangedSince(db, current.revision);
    if (revision !== current.revision) {
      const byId = new Map(current.byId);
      for (const segment of segments) {
        if (segment.deleted_at) byId.delete(segment.id);
        else byId.set(segment.id, compileDefinition(segment));
      }
      current = definitionsOf(revision, byId.values());
    }
    return current;
  }

  function startRefresh(): Promise<Definitions> {
    refreshing = refresh().finally(() => {
      refreshing = undefined;
    });
    return refreshing;
  }

  return {
    current: () => current,
    async at(revision) {
      while (current.revision < revision) await (refreshing ?? startRefresh());
      return current;
    },
    async fresh() {
      // One that is under way may have read before this call began: wait for it, then read again.
      await refreshing?.catch(() => undefined);
      return refreshing ?? startRefresh();
    },
  };
}
