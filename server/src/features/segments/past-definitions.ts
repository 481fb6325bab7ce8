import type { Db } from '../../postgres/database.ts';
import { compileDefinition, type Definitions, definitionsOf } from '../../segmentation/definition.ts';
import { selectDefinitionsAt, selectVersionMark } from './segments.sql.ts';

const maxKept = 8;

/** The few states of the past that were asked for last, compiled. */
export type KeptDefinitions = Map<string, Definitions>;

/**
 * The definitions as they stood at a moment, renamed and deleted ones included. Versions are only ever added, so their number up to
 * a moment identifies the state.
 */
export async function pastDefinitions(kept: KeptDefinitions, db: Db, at: Date): Promise<Definitions> {
  const mark = await selectVersionMark(db, at);
  const found = kept.get(mark);
  if (found) return found;
  const definitions = definitionsOf(0, (await selectDefinitionsAt(db, at)).map(compileDefinition));
  kept.set(mark, definitions);
  const [oldest] = kept.keys();
  if (kept.size > maxKept && oldest !== undefined) kept.delete(oldest);
  return definitions;
}
