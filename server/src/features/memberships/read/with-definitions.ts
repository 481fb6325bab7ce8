import { type Consistency, Problem } from '@kohort/contract';
import type { Database } from '../../../postgres/database.ts';
import type { Definitions } from '../../../segmentation/definition.ts';
import { type DefinitionCache, definitionsAt } from '../../segments/segments.ts';

/** What every read of memberships works with. */
export interface ReadContext {
  readonly db: Database;
  readonly definitions: DefinitionCache;
  /** How long a set question may take; a few seconds where a caller waits for it. */
  readonly timeoutMs?: number;
}

/** The answer of a read, or the revision that its statement saw when that is not the one the read was given. */
export type AtRevision<T> = { readonly answer: T } | { readonly revision: number };

const maxAttempts = 10;

/**
 * Runs a read with the definitions in memory. Its statement reports the revision that was current for it; when memory holds
 * another one, memory is refreshed and the read runs again. So data and definitions are always of one moment.
 */
export async function withDefinitions<T>(
  definitions: DefinitionCache,
  read: (current: Definitions) => Promise<AtRevision<T>>,
): Promise<T> {
  for (let attempt = 1; attempt <= maxAttempts; attempt++) {
    const { current } = definitions;
    const seen = await read(current);
    if ('answer' in seen) return seen.answer;
    await definitionsAt(definitions, seen.revision, current);
  }
  throw new Problem('overloaded', 'The definitions of segments keep changing. Try again shortly.', { retryAfter: 1 });
}

/** Runs a read on whatever database may answer it. */
export type Reader<Context> = <T>(read: (context: Context) => Promise<T>) => Promise<T>;

/** Likewise, given how much older than the last write its answer may be. */
export type ConsistentReader<Context> = <T>(
  consistency: Consistency,
  read: (context: Context) => Promise<T>,
) => Promise<T>;
