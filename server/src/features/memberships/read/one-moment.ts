import { Problem } from '@kohort/contract';
import type { Db } from '../../../postgres/database.ts';
import { sqlState } from '../../../postgres/errors.ts';
import type { PlannerFeature } from '../../../postgres/transaction.ts';
import type { Definitions } from '../../../segmentation/definitions.ts';
import { selectRevision } from './one-moment.sql.ts';
import { type Progress, type ReadContext, withDefinitions } from './with-definitions.ts';

/** Time limit of a set question with a waiting caller, so that it does not keep the database busy. */
const defaultTimeoutMs = 15_000;
const queryCanceled = '57014';

/** The moment that a question about all users is asked of, and what keeps its answer in bounds. */
export interface Moment {
  /** In milliseconds since 1970. */
  readonly now: number;
  /** When to give up, by `performance.now()`. */
  readonly until: number;
  /** Only for a question that is a job. */
  readonly progress?: Progress | undefined;
}

/** The 503 of a question about all users. It names the asynchronous way, which has more time. */
export function takesTooLong(): Problem {
  return new Problem(
    'overloaded',
    'The question cannot be answered in time. Ask it with the header "Prefer: respond-async" and it becomes a job.',
    { retryAfter: 10, errors: [{ path: '/headers/prefer', message: 'respond-async makes the question a job' }] },
  );
}

/**
 * Runs the statements of a set question on one snapshot, with the definitions of that snapshot, one moment in milliseconds
 * since 1970, and a time limit on each statement. Work in process has to stop at `until`, by `performance.now()`.
 */
export async function inOneMoment<T>(
  { db, definitions, timeoutMs = defaultTimeoutMs, progress }: ReadContext,
  work: (tx: Db, current: Definitions, moment: Moment) => Promise<T>,
  plannerOff: readonly PlannerFeature[] = ['jit'],
): Promise<T> {
  const until = performance.now() + timeoutMs;
  try {
    return await withDefinitions(definitions, (current) =>
      db.transaction(
        async (tx) => {
          const { revision, now } = await selectRevision(tx);
          return revision === current.revision
            ? { answer: await work(tx, current, { now, until, progress }) }
            : { revision };
        },
        { isolation: 'repeatable read', readOnly: true, statementTimeout: timeoutMs, plannerOff },
      ),
    );
  } catch (error) {
    if (sqlState(error) === queryCanceled) throw takesTooLong();
    throw error;
  }
}
