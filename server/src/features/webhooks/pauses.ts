const secondMs = 1_000;
const minuteMs = 60 * secondMs;
const hourMs = 60 * minuteMs;

export interface RetryPlan {
  /** After the first failure, the second, and so on; the last one repeats. */
  readonly pausesMs: readonly number[];
  /** The longest pause that a receiver may ask for with `Retry-After`. */
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

/** Jitter of a fifth, so that webhooks that failed together are not retried together. */
const jitter = 0.2;

/** The pause after the nth failure, counted from 1. A pause that the receiver asked for takes precedence. */
export function pauseMs({ pausesMs, maxAskedMs, random }: RetryPlan, failures: number, askedMs?: number): number {
  const [first = 0] = pausesMs;
  const planned = pausesMs[Math.min(failures, pausesMs.length) - 1] ?? first;
  if (askedMs !== undefined) return Math.min(Math.max(askedMs, first), maxAskedMs);
  return planned * (1 - jitter + 2 * jitter * random());
}

/** Parses `Retry-After`: seconds, or a date. Undefined if it is neither. */
export function retryAfterMs(text: string | undefined, nowMs: number): number | undefined {
  if (text === undefined) return undefined;
  if (/^\d{1,10}$/.test(text)) return Number(text) * secondMs;
  const date = /GMT$/.test(text) ? Date.parse(text) : Number.NaN;
  return Number.isNaN(date) ? undefined : Math.max(date - nowMs, 0);
}
