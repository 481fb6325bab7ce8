import { calls, type Job } from './api.ts';
import { type Call, chunksOf } from './call.ts';
import { KohortError, Unreachable } from './errors.ts';
import { sleep } from './sleep.ts';

export interface FollowJobOptions {
  readonly signal?: AbortSignal;
  /** Milliseconds without a word from the service after which it is given up. Default 60,000. */
  readonly patience?: number;
  /** Called once whenever the service is found to be away. */
  readonly onAway?: () => void;
}

const PATIENCE_MS = 60_000;
const MIN_PAUSE_MS = 250;
const MAX_PAUSE_MS = 5_000;
/** The service is starting or too busy, or what stands before it does not reach it. */
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

/** A job now, and again whenever it has changed, until it ends; also over connections that break, and restarts. */
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
      // It broke off, or could not begin: the job itself may be fine. A refusal is meant.
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
    // A connection that merely came to its end is no reason to worry anybody.
    if (failure !== undefined && !isTold) {
      isTold = true;
      onAway?.();
    }
    const asked = failure instanceof KohortError ? (failure.retryAfter ?? 0) * 1000 : 0;
    await sleep(Math.min(Math.max(pause, asked), Math.max(0, awaySince + patience - now)), signal);
    pause = Math.min(pause * 2, MAX_PAUSE_MS);
  }
}
