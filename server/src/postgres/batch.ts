import { Problem } from '@kohort/contract';

export interface CoalesceOptions<Ask, Answer> {
  /** Runs one statement for many callers and returns answers in the order of the asks; an `Error` fails only its own caller. */
  readonly run: (asks: readonly Ask[]) => Promise<readonly (Answer | Error)[]>;
  /** The most callers that one statement serves. */
  readonly maxBatch: number;
  /** How large each ask is, and how large those of one statement may be together. An ask larger than that goes alone. */
  readonly size?: { readonly of: (ask: Ask) => number; readonly max: number };
  /** The most statements in flight at once. */
  readonly concurrency: number;
  /**
   * Milliseconds for which calls are gathered at most, and after which a caller goes with a small statement instead of waiting for
   * those in flight.
   */
  readonly holdMs?: number;
  /** The most callers that may wait; one more is refused with 503. */
  readonly maxWaiting: number;
  /** Milliseconds after which a waiting caller is refused as well. */
  readonly maxWait?: number;
  /** Asks with the same key never share a statement and are answered in order of arrival. Not together with `size`. */
  readonly keyOf?: (ask: Ask) => string;
  /** Called for each statement with the number of callers it serves and how long the first of them waited. */
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

const maxWaitMs = 5_000;
const holdMs = 2;
/** Turns of the event loop in which calls are gathered, at most. */
const gatherTurns = 32;

function tooManyWait(): Problem {
  return new Problem('overloaded', 'Too many calls are waiting. Try again shortly.', { retryAfter: 1 });
}

class Batches<Ask, Answer> {
  readonly #options: CoalesceOptions<Ask, Answer>;
  readonly #busyKeys = new Set<string>();
  #queue: Waiting<Ask, Answer>[] = [];
  #inFlight = 0;
  #isScheduled = false;
  #lastSize = 0;
  #holding: NodeJS.Timeout | undefined;

  constructor(options: CoalesceOptions<Ask, Answer>) {
    this.#options = options;
  }

  get waiting(): number {
    return this.#queue.length;
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  call(ask: Ask): Promise<Answer> {
    const { keyOf, concurrency, maxWaiting } = this.#options;
    if (this.#queue.length >= maxWaiting) return Promise.reject(tooManyWait());
    return new Promise<Answer>((resolve, reject) => {
      this.#queue.push({ ask, key: keyOf?.(ask), since: performance.now(), resolve, reject });
      if (this.#inFlight < concurrency) this.#schedule();
    });
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    this.#gather(1, { turns: gatherTurns, until: performance.now() + this.#holdMs });
  }

  /**
   * Calls parsed in the same turn of the event loop leave in one statement. Where they are several, the processor is busy, and the
   * next turns bring more: they leave once a turn brings none. A lone call leaves with its own turn. Turns may be long, where some
   * other work takes its time: then they leave after `holdMs`.
   */
  #gather(seen: number, { turns, until }: { turns: number; until: number }): void {
    setImmediate(() => {
      const { length } = this.#queue;
      if (turns > 1 && length > seen && !this.#isFull && performance.now() < until) {
        this.#gather(length, { turns: turns - 1, until });
      } else {
        this.#isScheduled = false;
        this.#pump();
      }
    });
  }

  #pump(): void {
    this.#refuseLate();
    while (this.#inFlight < this.#options.concurrency && this.#queue.length > 0) {
      if (this.#isWorthHolding()) {
        this.#hold();
        return;
      }
      const batch = this.#take();
      if (batch.length === 0) return;
      this.#lastSize = batch.length;
      void this.#send(batch);
    }
  }

  /**
   * Whether waiting calls should wait longer, for more calls or for the end of a statement in flight. Each statement costs a round
   * trip and processor time on both sides, however many calls it serves, so while others are in flight none is sent that serves
   * fewer calls than the last one did. If calls are rare, the last one served one call, and no call waits. If the processor is the
   * limit, statements grow.
   */
  #isWorthHolding(): boolean {
    if (this.#inFlight === 0 || this.#queue.length >= this.#lastSize || this.#isFull) return false;
    return performance.now() - (this.#queue[0]?.since ?? 0) < this.#holdMs;
  }

  get #holdMs(): number {
    return this.#options.holdMs ?? holdMs;
  }

  #hold(): void {
    this.#holding ??= setTimeout(() => {
      this.#holding = undefined;
      this.#pump();
    }, this.#holdMs);
  }

  /** Refuses callers who have waited too long: they have given up or soon will, and the others can still be served in time. */
  #refuseLate(): void {
    const { maxWait = maxWaitMs } = this.#options;
    const oldest = this.#queue[0];
    const limit = performance.now() - maxWait;
    if (!oldest || oldest.since > limit) return;
    const late = this.#queue.filter(({ since }) => since <= limit);
    this.#queue = this.#queue.filter(({ since }) => since > limit);
    for (const { reject } of late) reject(tooManyWait());
  }

  /** Takes the next batch: first come, first served, but a key that is under way delays all later asks for it. */
  #take(): Waiting<Ask, Answer>[] {
    const { keyOf, maxBatch } = this.#options;
    if (!keyOf) return this.#queue.splice(0, this.#fitting());
    const batch: Waiting<Ask, Answer>[] = [];
    const left: Waiting<Ask, Answer>[] = [];
    const seen = new Set<string>();
    for (const one of this.#queue) {
      const key = one.key ?? '';
      if (batch.length === maxBatch || this.#busyKeys.has(key) || seen.has(key)) {
        left.push(one);
      } else {
        batch.push(one);
      }
      seen.add(key);
    }
    this.#queue = left;
    return batch;
  }

  /** Whether the next statement can serve no more calls than wait for it. */
  get #isFull(): boolean {
    const { size, maxBatch } = this.#options;
    if (this.#queue.length >= maxBatch) return true;
    return size !== undefined && this.#queue.reduce((sum, { ask }) => sum + size.of(ask), 0) >= size.max;
  }

  /** How many of the calls that wait fit into one statement. */
  #fitting(): number {
    const { size, maxBatch } = this.#options;
    if (!size) return maxBatch;
    let left = size.max;
    const tooLarge = this.#queue.findIndex(({ ask }, i) => {
      left -= size.of(ask);
      return i > 0 && left < 0;
    });
    return tooLarge === -1 ? maxBatch : Math.min(maxBatch, tooLarge);
  }

  async #send(batch: Waiting<Ask, Answer>[]): Promise<void> {
    const { run, observe } = this.#options;
    this.#inFlight++;
    for (const { key } of batch) if (key !== undefined) this.#busyKeys.add(key);
    try {
      observe?.(batch.length, performance.now() - (batch[0]?.since ?? 0));
      const answers = await run(batch.map(({ ask }) => ask));
      if (answers.length !== batch.length) throw new Error('a coalesced statement must answer each of its callers');
      batch.forEach((one, i) => {
        const answer = answers[i] as Answer | Error;
        if (answer instanceof Error) one.reject(answer);
        else one.resolve(answer);
      });
    } catch (error) {
      for (const one of batch) one.reject(error);
    } finally {
      this.#inFlight--;
      for (const { key } of batch) if (key !== undefined) this.#busyKeys.delete(key);
      if (this.#queue.length > 0) this.#schedule();
    }
  }
}

/**
 * Makes one statement out of many concurrent calls, without delaying any: a call that finds a free place starts at once,
 * and calls that arrive while all places are taken go out together with the next one. So each answer is read from the
 * database after its call arrived.
 */
export function coalesce<Ask, Answer>(options: CoalesceOptions<Ask, Answer>): Coalesced<Ask, Answer> {
  const batches = new Batches(options);
  return Object.assign((ask: Ask) => batches.call(ask), {
    waiting: () => batches.waiting,
    inFlight: () => batches.inFlight,
  });
}
