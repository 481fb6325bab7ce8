const secondMs = 1_000;
const minuteMs = 60 * secondMs;
const hourMs = 60 * minuteMs;

export interface RetryPlan {
  /** After the first failure, the second, and so on; the last one repeats. */
  readonly pausesMs: readonly number[];
  /** Most that a receiver may ask for with `Retry-After`. */
  readonly maxAskedMs: number;
  /** Failing for longer than this disables a webhook. */
  readonly giveUpMs: number;
  /** From 0 to 1. */
  readonly random: () => number;
}

export const retryPlan: RetryPlan = {
  pausesMs: [5 * secondMs, 30 * secondMs, 2 * minuteMs, 10 * minuteMs, 30 * minuteMs, hourMs, 2 * hourMs, 4 * hourMs],
  maxAskedMs: 4 * hourMs,
  giveUpMs: 72 * hourMs,
  random: Math.random,
};

/** A fifth more or less, so that hooks that failed together do not come back together. */
const jitter = 0.2;

/** How long to wait after the failure with this number, the first being 1. What the receiver asked for counts instead. */
export function pauseMs({ pausesMs, maxAskedMs, random }: RetryPlan, failures: number, askedMs?: number): number {
  const [first = 0] = pausesMs;
  const planned = pausesMs[Math.min(failures, pausesMs.length) - 1] ?? first;
  if (askedMs !== undefined) return Math.min(Math.max(askedMs, first), maxAskedMs);
  return planned * (1 - jitter + 2 * jitter * random());
}

/** Reads `Retry-After`: seconds, or a date. Undefined when it is neither. */
export function retryAfterMs(text: string | undefined, nowMs: number): number | undefined {
  if (text === undefined) return undefined;
  if (/^\d{1,10}$/.test(text)) return Number(text) * secondMs;
  const date = /GMT$/.test(text) ? Date.parse(text) : Number.NaN;
  return Number.isNaN(date) ? undefined : Math.max(date - nowMs, 0);
}
