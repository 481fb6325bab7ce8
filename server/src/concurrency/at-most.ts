import { Problem } from '@kohort/contract';
import { type Share, Shares } from './shares.ts';

export interface AtMostOptions {
  /** The most in progress at once. */
  readonly atOnce: number;
  /** The most that wait for a place; more are refused. */
  readonly waiting?: number;
  /** One caller may have this many times the free places; without it, all places. */
  readonly factor?: number;
  /** The detail of the refusal, and its `Retry-After`. */
  readonly refusal: string;
  readonly retryAfterSeconds: number;
}

interface Waiting {
  readonly caller: string;
  readonly begin: (share: Share) => void;
}

/** A bound on concurrent work, with a share for each caller. */
export class AtMost {
  readonly #options: AtMostOptions;
  readonly #shares: Shares;
  readonly #waiting: Waiting[] = [];

  constructor(options: AtMostOptions) {
    this.#options = options;
    this.#shares = new Shares(options.atOnce, options.factor ?? options.atOnce);
  }

  /** Runs `work` as soon as there is a place. @throws `overloaded` when too many wait already. */
  async run<T>(work: () => Promise<T>, caller = ''): Promise<T> {
    const share = this.#shares.take(caller) ?? (await this.#turn(caller));
    try {
      return await work();
    } finally {
      this.#leave(share);
    }
  }

  /** Takes a place until the function it returns is called. @throws `overloaded` when there is none. */
  enter(caller = ''): () => void {
    const share = this.#shares.take(caller);
    if (!share) throw this.#refusal();
    let hasLeft = false;
    return () => {
      if (!hasLeft) this.#leave(share);
      hasLeft = true;
    };
  }

  #turn(caller: string): Promise<Share> {
    if (this.#waiting.length >= (this.#options.waiting ?? 0)) throw this.#refusal();
    return new Promise((begin) => this.#waiting.push({ caller, begin }));
  }

  /** Hands the place over directly, so that new callers do not overtake waiting ones. */
  #leave(share: Share): void {
    this.#shares.release(share);
    for (const [i, { caller, begin }] of this.#waiting.entries()) {
      const next = this.#shares.take(caller);
      if (!next) continue;
      this.#waiting.splice(i, 1);
      begin(next);
      return;
    }
  }

  #refusal(): Problem {
    return new Problem('overloaded', this.#options.refusal, { retryAfter: this.#options.retryAfterSeconds });
  }
}
