import type { Db } from '../../../postgres/database.ts';
import type { PlannerFeature } from '../../../postgres/transaction.ts';
import type { Definitions } from '../../../segmentation/definition.ts';
import { selectRevision } from './one-moment.sql.ts';
import { type ReadContext, withDefinitions } from './with-definitions.ts';

/** After this long a set question is given up with 503 rather than keep the database busy. */
export const setTimeoutMs = 15_000;

/**
 * Runs the statements of a set question on one snapshot, with the definitions of that snapshot, one moment in milliseconds
 * since 1970, and a bound on each statement.
 */
export function inOneMoment<T>(
  { db, definitions }: ReadContext,
  work: (tx: Db, current: Definitions, now: number) => Promise<T>,
  plannerOff: readonly PlannerFeature[] = ['jit'],
): Promise<T> {
  return withDefinitions(definitions, (current) =>
    db.transaction(
      async (tx) => {
        const { revision, now } = await selectRevision(tx);
        return revision === current.revision ? { answer: await work(tx, current, now) } : { revision };
      },
      { isolation: 'repeatable read', readOnly: true, statementTimeout: setTimeoutMs, plannerOff },
    ),
  );
}
