import { Turns } from '../../concurrency/turns.ts';
import type { Db } from '../../postgres/database.ts';
import { compileDefinition, type Definition } from '../../segmentation/definition.ts';
import { type Definitions, definitionsOf } from '../../segmentation/definitions.ts';
import { selectDefinitionsAt, selectVersionMark } from './versions.sql.ts';

const maxKept = 8;
/** The most bytes of conditions, as JSON, in all cached states. */
const maxKeptBytes = 64 * 1024 * 1024;

interface Kept {
  readonly definitions: Promise<Definitions>;
  bytes: number;
}

/** The past states used most recently, compiled or being compiled. */
export type KeptDefinitions = Map<string, Kept>;

/**
 * The definitions as of a moment, including renamed and deleted ones. Versions are only ever added, so their number up to a
 * moment identifies the state.
 */
export async function pastDefinitions(kept: KeptDefinitions, db: Db, at: Date): Promise<Definitions> {
  const mark = await selectVersionMark(db, at);
  const found = kept.get(mark);
  if (found) return found.definitions;
  const reading = readAt(db, at);
  const entry: Kept = { definitions: reading.then(({ definitions }) => definitions), bytes: 0 };
  kept.set(mark, entry);
  try {
    entry.bytes = (await reading).bytes;
  } catch (error) {
    kept.delete(mark);
    throw error;
  }
  forgetOldest(kept);
  return entry.definitions;
}

async function readAt(db: Db, at: Date): Promise<{ definitions: Definitions; bytes: number }> {
  const turns = new Turns();
  const compiled: Definition[] = [];
  let bytes = 0;
  for (const found of await selectDefinitionsAt(db, at)) {
    compiled.push(compileDefinition(found));
    bytes += found.condition_bytes;
    if (turns.isOver) await turns.pause();
  }
  return { definitions: definitionsOf(0, compiled), bytes };
}

function forgetOldest(kept: KeptDefinitions): void {
  let bytes = 0;
  for (const one of kept.values()) bytes += one.bytes;
  for (const [mark, one] of kept) {
    if (kept.size <= maxKept && bytes <= maxKeptBytes) return;
    kept.delete(mark);
    bytes -= one.bytes;
  }
}
