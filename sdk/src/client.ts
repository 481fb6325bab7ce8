import {
  type Answer,
  accounts,
  auth,
  type Endpoint,
  history,
  imports,
  jobs,
  keys,
  memberships,
  reports,
  segments,
  users,
} from '@kohort/contract';
import { type ClientOptions, createCall, type Input, type Output } from './call.ts';
import { KohortError, Unreachable } from './errors.ts';

const features = { auth, accounts, keys, users, segments, memberships, history, reports, imports, jobs };
type Features = typeof features;

type Endpoints<F> = { [K in keyof F as F[K] extends Endpoint ? K : never]: F[K] extends Endpoint ? F[K] : never };
/** No argument where an endpoint needs none. */
type Method<E extends Endpoint> =
  Record<string, never> extends Input<E>
    ? (input?: Input<E>) => Promise<Output<E>>
    : (input: Input<E>) => Promise<Output<E>>;

export type Job = Answer<typeof jobs.readJob>;

/** Every call of the service as a function, grouped as the contract groups them, typed by the contract. */
export type Client = {
  readonly [F in keyof Features]: { readonly [K in keyof Endpoints<Features[F]>]: Method<Endpoints<Features[F]>[K]> };
} & {
  readonly call: ReturnType<typeof createCall>;
  /** A job now, and again whenever it has changed, until it ends; also over connections that break, and restarts. */
  follow(id: string, options?: FollowOptions): AsyncGenerator<Job, void, undefined>;
};

export interface FollowOptions {
  readonly signal?: AbortSignal;
  /** Milliseconds without a word from the service after which it is given up. Default 60,000. */
  readonly patience?: number;
  /** Told once whenever the service is found to be away. */
  readonly onAway?: () => void;
}

const PATIENCE = 60_000;
const MIN_PAUSE = 250;
const MAX_PAUSE = 5_000;
/** The service is starting or too busy, or what stands before it does not reach it. */
const AWAY = new Set([502, 503, 504]);

function isEndpoint(value: unknown): value is Endpoint {
  return typeof value === 'object' && value !== null && 'method' in value && 'success' in value;
}

async function* eventsOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<Job, void, undefined> {
  const decoder = new TextDecoder();
  let held = '';
  for await (const chunk of stream) {
    const parts = (held + decoder.decode(chunk, { stream: true })).split('\n\n');
    held = parts.pop() ?? '';
    for (const part of parts) if (part.startsWith('data: ')) yield JSON.parse(part.slice('data: '.length)) as Job;
  }
}

/** Rejects when the signal says so. */
function sleep(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', stop);
      resolve();
    }, milliseconds);
    const stop = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    if (signal?.aborted) stop();
    else signal?.addEventListener('abort', stop, { once: true });
  });
}

export function createClient(options: ClientOptions): Client {
  const call = createCall(options);
  const callOnce = createCall({ ...options, retries: 0 });
  const groups = Object.fromEntries(
    Object.entries(features).map(([name, feature]) => [
      name,
      Object.fromEntries(
        Object.entries(feature).flatMap(([id, endpoint]) =>
          isEndpoint(endpoint) ? [[id, (input: object = {}) => call(endpoint, input as Input<Endpoint>)]] : [],
        ),
      ),
    ]),
    // Made of the same modules that the type is made of.
  ) as unknown as Omit<Client, 'call' | 'follow'>;

  return {
    ...groups,
    call,
    async *follow(id, { signal, patience = PATIENCE, onAway } = {}) {
      const input = { params: { id }, ...(signal && { signal }) };
      let [pause, awaySince, isTold] = [MIN_PAUSE, Number.NaN, false];
      for (;;) {
        let failure: unknown;
        try {
          for await (const job of eventsOf(await callOnce(jobs.followJob, input))) {
            [pause, awaySince, isTold] = [MIN_PAUSE, Number.NaN, false];
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
          throw new Unreachable(`Kohort cannot be reached at ${options.url} any more. Job ${id} may still go on.`, {
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
        pause = Math.min(pause * 2, MAX_PAUSE);
      }
    },
  };
}
