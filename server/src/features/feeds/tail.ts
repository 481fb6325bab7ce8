import { setTimeout as sleep } from 'node:timers/promises';
import type { Db } from '../../postgres/database.ts';
import { selectLast } from './feeds.sql.ts';

export interface TailOptions {
  readonly db: Db;
  readonly onError: (error: unknown, what: string) => void;
  readonly lookEveryMs?: number;
}

/**
 * The end of the changes, for all in this process who wait for more: one of them looks, however many there are, and none while
 * nobody waits.
 */
export class Tail {
  readonly #options: TailOptions;
  readonly #waiting = new Set<() => void>();
  #lastId = 0;
  #looking: Promise<void> | undefined;
  #isClosed = false;
  #lookNow = () => {};

  constructor(options: TailOptions) {
    this.#options = options;
  }

  /** Resolves when there is a change after this one, or none came for so long, or the signal is aborted. */
  async waitAfter(id: number, waitMs: number, signal?: AbortSignal): Promise<void> {
    const until = performance.now() + waitMs;
    while (this.#lastId <= id && !signal?.aborted && !this.#isClosed) {
      const restMs = until - performance.now();
      if (restMs <= 0) return;
      await this.#nextLook(restMs, signal);
    }
  }

  #nextLook(withinMs: number, signal: AbortSignal | undefined): Promise<void> {
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
      this.#looking ??= this.#keepLooking();
    });
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Changes were told by this process. */
  wake(): void {
    this.#lookNow();
  }

  /** Lets go of all who wait. */
  close(): void {
    this.#isClosed = true;
    this.#lookNow();
    for (const done of this.#waiting) done();
  }

  async #keepLooking(): Promise<void> {
    const { db, onError, lookEveryMs = 200 } = this.#options;
    let isFailing = false;
    while (this.#waiting.size > 0 && !this.#isClosed) {
      try {
        const { id } = await selectLast(db);
        const isNews = id !== this.#lastId;
        this.#lastId = id;
        if (isNews) for (const done of this.#waiting) done();
        isFailing = false;
      } catch (error) {
        if (!isFailing) onError(error, 'the end of the changes cannot be read');
        isFailing = true;
      }
      const pause = new AbortController();
      this.#lookNow = () => pause.abort();
      await sleep(lookEveryMs, undefined, { signal: pause.signal, ref: false }).catch(() => undefined);
    }
    this.#looking = undefined;
  }
}
