import { setTimeout as sleep } from 'node:timers/promises';
import { type Consistency, Problem } from '@kohort/contract';
import type { Database } from '../../../postgres/database.ts';
import type { Definitions } from '../../../segmentation/definitions.ts';
import { type DefinitionCache, definitionsAt } from '../../segments/segments.ts';
import type { SeenRevision } from './seen-revision.ts';

/**
 * Reports how far a question is: the id of the last user it has looked at, and that of the last one there is. Throws if it must
 * stop.
 */
export type Progress = (reached: number, last: number) => void;

/** The dependencies of every read of memberships. */
export interface ReadContext {
  readonly db: Database;
  readonly definitions: DefinitionCache;
  /** The time limit of a set question; a few seconds if a caller waits for it. */
  readonly timeoutMs?: number;
  /** For a set question that is a job. */
  readonly progress?: Progress;
}

/** The answer of a read, or the revision that its statement saw if the read was given the definitions of another one. */
export type AtRevision<T> = { readonly answer: T } | { readonly revision: SeenRevision };

const maxAttempts = 10;
/** A change reaches the workers of a distributed database within milliseconds of each other. */
const workersBehindMs = 2;

/**
 * Runs a read with the definitions in memory. Its statement reports the revision that was current for it; when memory holds
 * another one, memory is refreshed and the read runs again, so data and definitions are always of one moment.
 */
export async function withDefinitions<T>(
  definitions: DefinitionCache,
  read: (current: Definitions) => Promise<AtRevision<T>>,
): Promise<T> {
  for (let attempt = 1; attempt <= maxAttempts; attempt++) {
    const { current } = definitions;
    const seen = await read(current);
    if ('answer' in seen) return seen.answer;
    const { revision } = seen;
    const isBehind = revision === 'mixed' || (definitions.db.isDistributed && revision < current.revision);
    if (isBehind && attempt < maxAttempts) await sleep(workersBehindMs * attempt);
    else if (revision !== 'mixed') await definitionsAt(definitions, revision, current);
  }
  throw new Problem('overloaded', 'The definitions of segments keep changing. Try again shortly.', { retryAfter: 1 });
}

/** Runs a read on a database that may answer it. */
export type Reader<Context> = <T>(read: (context: Context) => Promise<T>) => Promise<T>;

/** Likewise, with a bound on how much older than the last write its answer may be. */
export type ConsistentReader<Context> = <T>(
  consistency: Consistency,
  read: (context: Context) => Promise<T>,
) => Promise<T>;
