import { DeadlineExceeded, KohortError, Unreachable } from '../errors.ts';
import { sleep } from '../sleep.ts';

const defaultFirstPauseMs = 250;
const maxPauseMs = 30_000;

/** Whether the same call may succeed later: no answer, overload, or a fault of the service or of a proxy. */
export function isPassing(error: unknown): boolean {
  if (error instanceof Unreachable || error instanceof DeadlineExceeded) return true;
  return error instanceof KohortError && (error.status >= 500 || error.status === 429 || error.status === 408);
}

export interface AbsenceSettings {
  /** Returns a number from 0 up to 1. */
  readonly random: () => number;
  readonly firstPauseMs?: number;
}

/** The pauses between attempts: longer each time, randomized, and never shorter than `Retry-After`. */
export class Absence {
  readonly #random: () => number;
  readonly #firstPauseMs: number;
  #failures = 0;

  constructor({ random, firstPauseMs = defaultFirstPauseMs }: AbsenceSettings) {
    this.#random = random;
    this.#firstPauseMs = firstPauseMs;
  }

  ended(): void {
    this.#failures = 0;
  }

  /** @throws the reason of the signal. */
  async waitOut(error: unknown, signal: AbortSignal | undefined): Promise<void> {
    const backoff = Math.min(this.#firstPauseMs * 2 ** this.#failures++, maxPauseMs);
    const asked = error instanceof KohortError ? (error.retryAfter ?? 0) * 1000 : 0;
    await sleep(Math.min(asked, maxPauseMs) + backoff * (0.5 + this.#random() / 2), signal);
  }
}
