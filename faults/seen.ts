import type { Outcome } from './http.ts';

export interface Seen {
  /** Writes that were acknowledged. */
  acknowledged: number;
  /** Answered 503: these must not have been carried out. */
  refused: number;
  /** Answered "outcome unknown", or the connection broke. */
  unknown: number;
  /** Calls that found no connection. */
  unreachable: number;
  /** Connections that broke with a call on them. */
  lost: number;
  /** Calls of unknown outcome that were repeated with their Idempotency-Key, and how many of them were answered in the end. */
  repeated: number;
  answeredLater: number;
  /** Why connections broke, and how often. */
  readonly breaks: Map<string, number>;
  /** Sent once more because a kept connection ended under them. */
  again: number;
  reads: number;
  /** Reads that missed a write acknowledged before they were sent. */
  stale: number;
  /** Answers outside the contract: a 500, a 4xx, a 503 without Retry-After, none at all. */
  readonly unexpected: string[];
  /** Milliseconds of the slowest answer or refusal. */
  slowest: number;
  slowestWhat: string;
}

const maxUnexpected = 50;

export function createSeen(): Seen {
  return {
    acknowledged: 0,
    refused: 0,
    unknown: 0,
    unreachable: 0,
    lost: 0,
    repeated: 0,
    answeredLater: 0,
    breaks: new Map(),
    again: 0,
    reads: 0,
    stale: 0,
    unexpected: [],
    slowest: 0,
    slowestWhat: '',
  };
}

/** Whether the contract allows this outcome: an answer, a refusal that says when to try again, or a broken connection. */
function isAllowed(outcome: Outcome): boolean {
  if (outcome.kind !== 'answer') return outcome.kind !== 'hung';
  if (outcome.status < 300) return true;
  const mayRetry = outcome.status === 503 || outcome.code === 'idempotency_in_flight';
  return mayRetry && outcome.retryAfter !== undefined;
}

/** Records how one call ended: how long it took, whether its connection broke, whether the contract allows it. */
export function record(seen: Seen, tookMs: number, what: string, outcome: Outcome): void {
  if (tookMs > seen.slowest) {
    seen.slowest = tookMs;
    seen.slowestWhat = `${what}: ${outcome.kind === 'answer' ? `${outcome.status} ${outcome.code ?? ''}` : outcome.kind}`;
  }
  if (outcome.kind === 'refused') seen.unreachable++;
  if (outcome.kind === 'lost') {
    seen.lost++;
    seen.breaks.set(outcome.why, (seen.breaks.get(outcome.why) ?? 0) + 1);
  }
  if (isAllowed(outcome) || seen.unexpected.length >= maxUnexpected) return;
  const words =
    outcome.kind === 'answer' ? `answered ${outcome.status} ${outcome.text.slice(0, 300)}` : 'was never answered';
  seen.unexpected.push(`${what} ${words}`);
}
