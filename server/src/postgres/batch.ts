import { Problem } from '@kohort/contract';

export interface CoalesceOptions<Ask, Answer> {
  /** One statement for many callers. Answers in the order of the asks; an `Error` fails only its own caller. */
  readonly run: (asks: readonly Ask[]) => Promise<readonly (Answer | Error)[]>;
  /** Most callers a statement serves. */
  readonly maxBatch: number;
  /** Most statements in flight at once. */
  readonly concurrency: number;
  /** Most callers waiting; one more is refused with 503. */
  readonly maxWaiting: number;
  /** Milliseconds after which a caller who still waits is refused as well. */
  readonly maxWait?: number;
  /** Asks with an equal key never share a statement and are answered in the order they came. */
  readonly keyOf?: (ask: Ask) => string;
  /** Told about each statement: how many callers it served, how long the first of them waited. */
  readonly observe?: (callers: number, waitedMs: number) => void;
}

interface Waiting<Ask, Answer> {
  readonly ask: Ask;
  readonly key: string | undefined;
  readonly since: number;
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: unknown) => void;
}

export interface Coalesced<Ask, Answer> {
  (ask: Ask): Promise<Answer>;
  readonly waiting: () => number;
  readonly inFlight: () => number;
}

const MAX_WAIT = 5_000;

function tooManyWait(): Problem {
  return new Problem('overloaded', 'Too many calls are waiting. Try again shortly.', { retryAfter: 1 });
}

/**
 * Makes one statement out of many concurrent calls, without delaying any: a call that finds a free place starts at once,
 * and calls that arrive while all places are taken go out together with the next one. Each answer is thus read from
 * the database after its call arrived.
 */
export function coalesce<Ask, Answer>(options: CoalesceOptions<Ask, Answer>): Coalesced<Ask, Answer> {
  const { keyOf, maxBatch, concurrency, maxWaiting, maxWait = MAX_WAIT } = options;
  let queue: Waiting<Ask, Answer>[] = [];
  const busyKeys = new Set<string>();
  let inFlight = 0;
  let scheduled = false;

  /** Those who have waited too long are refused: by now they have given up, or soon will, and others can still be served in time. */
  function refuseLate(): void {
    const oldest = queue[0];
    const limit = performance.now() - maxWait;
    if (!oldest || oldest.since > limit) return;
    const late = queue.filter(({ since }) => since <= limit);
    queue = queue.filter(({ since }) => since > limit);
    for (const { reject } of late) reject(tooManyWait());
  }

  /** Takes the next batch: first come, first served, but a key that is under way holds back all later asks for it. */
  function take(): Waiting<Ask, Answer>[] {
    if (!keyOf) return queue.splice(0, maxBatch);
    const batch: Waiting<Ask, Answer>[] = [];
    const left: Waiting<Ask, Answer>[] = [];
    const held = new Set<string>();
    for (const one of queue) {
      const key = one.key ?? '';
      if (batch.length === maxBatch || busyKeys.has(key) || held.has(key)) {
        left.push(one);
      } else {
        batch.push(one);
      }
      held.add(key);
    }
    queue = left;
    return batch;
  }

  async function send(batch: Waiting<Ask, Answer>[]): Promise<void> {
    inFlight++;
    for (const { key } of batch) if (key !== undefined) busyKeys.add(key);
    try {
      options.observe?.(batch.length, performance.now() - (batch[0]?.since ?? 0));
      const answers = await options.run(batch.map(({ ask }) => ask));
      if (answers.length !== batch.length) throw new Error('a coalesced statement must answer each of its callers');
      batch.forEach((one, i) => {
        const answer = answers[i] as Answer | Error;
        if (answer instanceof Error) one.reject(answer);
        else one.resolve(answer);
      });
    } catch (error) {
      for (const one of batch) one.reject(error);
    } finally {
      inFlight--;
      for (const { key } of batch) if (key !== undefined) busyKeys.delete(key);
      pump();
    }
  }

  function pump(): void {
    refuseLate();
    while (inFlight < concurrency && queue.length > 0) {
      const batch = take();
      if (batch.length === 0) return;
      void send(batch);
    }
  }

  function call(ask: Ask): Promise<Answer> {
    if (queue.length >= maxWaiting) {
      return Promise.reject(tooManyWait());
    }
    return new Promise<Answer>((resolve, reject) => {
      queue.push({ ask, key: keyOf?.(ask), since: performance.now(), resolve, reject });
      // Calls parsed in the same turn of the event loop leave in one statement.
      if (!scheduled && inFlight < concurrency) {
        scheduled = true;
        setImmediate(() => {
          scheduled = false;
          pump();
        });
      }
    });
  }

  return Object.assign(call, { waiting: () => queue.length, inFlight: () => inFlight });
}
