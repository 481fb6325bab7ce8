import { DeadlineExceeded, KohortError, Unreachable } from './errors.ts';
import { sleep } from './sleep.ts';

export interface RetrySettings {
  /** The most retries of a call. */
  readonly retries: number;
  /** Whether the call may be repeated, whatever the outcome of the first attempt. */
  readonly isRepeatable: boolean;
  readonly signal: AbortSignal | undefined;
  /** When the call must have ended, by `performance.now()`. */
  readonly deadline: number;
  /** Returns a number from 0 up to 1. */
  readonly random: () => number;
}

const FIRST_PAUSE_MS = 100;
const MAX_PAUSE_MS = 5_000;
/** A proxy or the network failed: the service may have carried out the call. */
const AMBIGUOUS = new Set([502, 504]);
/** The service guarantees that it has done nothing. */
const UNTOUCHED = new Set(['overloaded', 'unavailable', 'throttled', 'idempotency_in_flight']);

function isWorthAnotherTry(error: unknown, isRepeatable: boolean): boolean {
  if (error instanceof Unreachable) return isRepeatable;
  if (!(error instanceof KohortError)) return false;
  if (UNTOUCHED.has(error.code)) return true;
  return isRepeatable && (error.status === 503 || AMBIGUOUS.has(error.status));
}

/** Longer each time and randomized, so that callers that failed together do not retry together. */
function pauseBefore(attempt: number, error: unknown, random: () => number): number {
  const backoff = Math.min(FIRST_PAUSE_MS * 2 ** attempt, MAX_PAUSE_MS);
  const asked = error instanceof KohortError ? (error.retryAfter ?? 0) * 1000 : 0;
  return asked + backoff * (0.5 + random() / 2);
}

/** Retries after transient failures, as long as there is time. */
export async function withRetries<T>(attempt: () => Promise<T>, settings: RetrySettings): Promise<T> {
  const { retries, isRepeatable, signal, deadline, random } = settings;
  for (let failed = 0; ; failed++) {
    try {
      return await attempt();
    } catch (error) {
      if (failed >= retries || error instanceof DeadlineExceeded || !isWorthAnotherTry(error, isRepeatable))
        throw error;
      const pauseMs = pauseBefore(failed, error, random);
      if (performance.now() + pauseMs >= deadline) throw error;
      await sleep(pauseMs, signal);
    }
  }
}
