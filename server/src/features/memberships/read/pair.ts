import { type Coalesced, coalesce } from '../../../postgres/batch.ts';
import type { JsonObject } from '../../../segmentation/conditions/json.ts';
import type { Definition } from '../../../segmentation/definition.ts';
import type { Definitions } from '../../../segmentation/definitions.ts';
import type { Mode } from '../../../segmentation/overrides.ts';
import { selectPairs } from './pair.sql.ts';
import { type ReadContext, withDefinitions } from './with-definitions.ts';

export interface AskedPair {
  readonly externalId: string;
  readonly slug: string;
}

/**
 * The data that decides about one user and one segment whose condition names no other: far less than everything about the user.
 */
export interface SeenPair {
  /** The definitions that were current for the statement. */
  readonly definitions: Definitions;
  /** Undefined for an unknown slug. */
  readonly definition: Definition | undefined;
  /** The moment of the statement, in milliseconds since 1970. */
  readonly now: number;
  /** The mode of the override in force. */
  readonly mode: Mode | null;
  /** Null for an unknown user, or if the definition does not use attributes. */
  readonly attributes: JsonObject | null;
}

/** Concurrent calls share a statement. */
export type PairOf = Coalesced<AskedPair, SeenPair>;

function usesAttributes({ condition, bucketBy }: Definition): boolean {
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
        needsAttributes: wanted[i] !== undefined && usesAttributes(wanted[i]),
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
