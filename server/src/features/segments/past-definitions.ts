import type { Db } from '../../postgres/database.ts';
import { compileDefinition, type Definitions, definitionsOf } from '../../segmentation/definition.ts';
import { selectDefinitionsAt, selectVersionMark } from './segments.sql.ts';

const MAX_KEPT = 8;

/**
 * The definitions as they stood at a moment, renamed and deleted ones included. The few asked for last are kept compiled:
 * versions are only ever added, so how many there are up to a moment tells which state it was.
 */
export function createPastDefinitions(): (db: Db, at: Date) => Promise<Definitions> {
  const kept = new Map<string, Definitions>();

  return async (db, at) => {
    const mark = await selectVersionMark(db, at);
    const found = kept.get(mark);
    if (found) return found;
    const definitions = definitionsOf(0, (await selectDefinitionsAt(db, at)).map(compileDefinition));
    kept.set(mark, definitions);
    const [oldest] = kept.keys();
    if (kept.size > MAX_KEPT && oldest !== undefined) kept.delete(oldest);
    return definitions;
  };
}
