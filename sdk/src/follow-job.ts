import { calls, type Job } from './api.ts';
import { type Call, chunksOf } from './call.ts';
import { KohortError, Unreachable } from './errors.ts';
import { sleep } from './sleep.ts';

export interface FollowJobOptions {
  readonly signal?: AbortSignal;
  /** Gives up after this many milliseconds without an answer of the service. Default 60,000. */
  readonly patience?: number;
  /** Called once whenever the service becomes unreachable. */
  readonly onAway?: () => void;
}

const PATIENCE_MS = 60_000;
const MIN_PAUSE_MS = 250;
const MAX_PAUSE_MS = 5_000;
/** The service is starting or too busy, or a proxy cannot reach it. */
const AWAY = new Set([502, 503, 504]);

async function* eventsOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<Job, void, undefined> {
  const decoder = new TextDecoder();
  let held = '';
  for await (const chunk of chunksOf(stream)) {
    const parts = (held + decoder.decode(chunk, { stream: true })).split('\n\n');
    held = parts.pop() ?? '';
    for (const part of parts) if (part.startsWith('data: ')) yield JSON.parse(part.slice('data: '.length)) as Job;
  }
}

/** A job as it is now, and after each change, until it ends. Survives broken connections and restarts. */
export async function* followJob(
  callOnce: Call,
  url: string,
  id: string,
  { signal, patience = PATIENCE_MS, onAway }: FollowJobOptions = {},
): AsyncGenerator<Job, void, undefined> {
  const input = { params: { id }, ...(signal && { signal }) };
  let [pause, awaySince, isTold] = [MIN_PAUSE_MS, Number.NaN, false];
  for (;;) {
    let failure: unknown;
    try {
      for await (const job of eventsOf((await callOnce(calls.jobs.followJob, input)) as ReadableStream<Uint8Array>)) {
        [pause, awaySince, isTold] = [MIN_PAUSE_MS, Number.NaN, false];
        yield job;
        if (job.finished_at) return;
      }
    } catch (error) {
      // The stream broke off or could not start; the job itself may be fine. A refusal is final.
      if (signal?.aborted || (error instanceof KohortError && !AWAY.has(error.status))) throw error;
      failure = error;
    }
    const now = performance.now();
    if (Number.isNaN(awaySince)) awaySince = now;
    else if (now - awaySince >= patience) {
      throw new Unreachable(`Kohort cannot be reached at ${url} any more. Job ${id} may still go on.`, {
        cause: failure,
      });
    }
    // A connection that ended regularly is not reported.
    if (failure !== undefined && !isTold) {
      isTold = true;
      onAway?.();
    }
    const asked = failure instanceof KohortError ? (failure.retryAfter ?? 0) * 1000 : 0;
    await sleep(Math.min(Math.max(pause, asked), Math.max(0, awaySince + patience - now)), signal);
    pause = Math.min(pause * 2, MAX_PAUSE_MS);
  }
}
