import { setTimeout as sleep } from 'node:timers/promises';
import { onBehalfOf, theService } from '../../concurrency/party.ts';
import type { Db } from '../../postgres/database.ts';
import { selectLast } from './feeds.sql.ts';

export interface TailOptions {
  readonly db: Db;
  readonly onError: (error: unknown, what: string) => void;
  readonly pollEveryMs?: number;
}

/**
 * Waits for new changes on behalf of all calls in this process: one poll serves all of them, and none runs without a waiter.
 */
export class Tail {
  readonly #options: TailOptions;
  readonly #waiting = new Set<() => void>();
  #lastId = 0;
  #polling: Promise<void> | undefined;
  #isClosed = false;
  #pollNow = () => {};

  constructor(options: TailOptions) {
    this.#options = options;
  }

  /** Resolves when there is a change after `id`, after `waitMs`, or when the signal is aborted. */
  async waitAfter(id: number, waitMs: number, signal?: AbortSignal): Promise<void> {
    const until = performance.now() + waitMs;
    while (this.#lastId <= id && !signal?.aborted && !this.#isClosed) {
      const restMs = until - performance.now();
      if (restMs <= 0) return;
      await this.#nextPoll(restMs, signal);
    }
  }

  #nextPoll(withinMs: number, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        this.#waiting.delete(done);
        clearTimeout(timer);
        signal?.removeEventListener('abort', done);
        resolve();
      };
      const timer = setTimeout(done, withinMs);
      signal?.addEventListener('abort', done, { once: true });
      this.#waiting.add(done);
      this.#polling ??= onBehalfOf(theService, () => this.#poll());
    });
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Polls at once: this process has published changes. */
  wake(): void {
    this.#pollNow();
  }

  /** Resolves all waits. */
  close(): void {
    this.#isClosed = true;
    this.#pollNow();
    for (const done of this.#waiting) done();
  }

  async #poll(): Promise<void> {
    const { db, onError, pollEveryMs = 200 } = this.#options;
    let isFailing = false;
    while (this.#waiting.size > 0 && !this.#isClosed) {
      try {
        const { id } = await selectLast(db);
        const isNews = id !== this.#lastId;
        this.#lastId = id;
        if (isNews) for (const done of this.#waiting) done();
        isFailing = false;
      } catch (error) {
        if (!isFailing) onError(error, 'reading the last change failed');
        isFailing = true;
      }
      const pause = new AbortController();
      this.#pollNow = () => pause.abort();
      await sleep(pollEveryMs, undefined, { signal: pause.signal, ref: false }).catch(() => undefined);
    }
    this.#polling = undefined;
  }
}
