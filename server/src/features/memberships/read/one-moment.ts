import { Problem } from '@kohort/contract';
import type { Db } from '../../../postgres/database.ts';
import { sqlState } from '../../../postgres/errors.ts';
import type { PlannerFeature } from '../../../postgres/transaction.ts';
import type { Definitions } from '../../../segmentation/definition.ts';
import { selectRevision } from './one-moment.sql.ts';
import { type ReadContext, withDefinitions } from './with-definitions.ts';

/** After this long a set question that someone waits for is given up, rather than keep the database busy. */
const defaultTimeoutMs = 15_000;
const queryCanceled = '57014';

/** The 503 of a question about all users; it names the way to ask that has more time. */
export function takesTooLong(): Problem {
  return new Problem(
    'overloaded',
    'The question cannot be answered in time. Ask it with the header "Prefer: respond-async" and it becomes a job.',
    { retryAfter: 10 },
  );
}

/**
 * Runs the statements of a set question on one snapshot, with the definitions of that snapshot, one moment in milliseconds
 * since 1970, and a bound on each statement. `until` is when work in process has to give up, by `performance.now()`.
 */
export async function inOneMoment<T>(
  { db, definitions, timeoutMs = defaultTimeoutMs }: ReadContext,
  work: (tx: Db, current: Definitions, now: number, until: number) => Promise<T>,
  plannerOff: readonly PlannerFeature[] = ['jit'],
): Promise<T> {
  const until = performance.now() + timeoutMs;
  try {
    return await withDefinitions(definitions, (current) =>
      db.transaction(
        async (tx) => {
          const { revision, now } = await selectRevision(tx);
          return revision === current.revision ? { answer: await work(tx, current, now, until) } : { revision };
        },
        { isolation: 'repeatable read', readOnly: true, statementTimeout: timeoutMs, plannerOff },
      ),
    );
  } catch (error) {
    if (sqlState(error) === queryCanceled) throw takesTooLong();
    throw error;
  }
}
