import { type Coalesced, coalesce } from '../../../postgres/batch.ts';
import type { JsonObject } from '../../../segmentation/conditions/json.ts';
import type { Mode } from '../../../segmentation/decide.ts';
import type { Definition, Definitions } from '../../../segmentation/definition.ts';
import { selectPairs } from './pair.sql.ts';
import { type ReadContext, withDefinitions } from './with-definitions.ts';

export interface AskedPair {
  readonly externalId: string;
  readonly slug: string;
}

/**
 * What decides about one user and one segment whose condition names no other: far less than all that stands about the user.
 */
export interface SeenPair {
  /** As they were current for the statement. */
  readonly definitions: Definitions;
  /** Undefined where the slug names no segment. */
  readonly definition: Definition | undefined;
  /** The moment of the statement, in milliseconds since 1970. */
  readonly now: number;
  /** Of the override that stands. */
  readonly mode: Mode | null;
  /** Null for an unknown user, and where the definition does not look at attributes. */
  readonly attributes: JsonObject | null;
}

/** Calls at the same time share a statement. */
export type PairOf = Coalesced<AskedPair, SeenPair>;

function looksAtAttributes({ condition, bucketBy }: Definition): boolean {
  return condition !== null || bucketBy !== null;
}

function readPairs({ db, definitions }: ReadContext, asked: readonly AskedPair[]): Promise<SeenPair[]> {
  return withDefinitions(definitions, async (current) => {
    const wanted = asked.map(({ slug }) => current.bySlug.get(slug));
    const { revision, now, pairs } = await selectPairs(
      db,
      asked.map(({ externalId }, i) => ({
        externalId,
        segmentId: wanted[i]?.id ?? null,
        needsAttributes: wanted[i] !== undefined && looksAtAttributes(wanted[i]),
      })),
    );
    if (revision !== current.revision) return { revision };
    return {
      answer: pairs.map(({ mode, attributes }, i) => ({
        definitions: current,
        definition: wanted[i],
        now,
        mode,
        attributes,
      })),
    };
  });
}

export function coalescePairOf(context: ReadContext, observe: (callers: number, waitedMs: number) => void): PairOf {
  return coalesce({
    run: (asked) => readPairs(context, asked),
    maxBatch: 256,
    concurrency: 3,
    maxWaiting: 10_000,
    observe,
  });
}
