interface Waiting {
  readonly begin: () => void;
  readonly late: NodeJS.Timeout;
}

/**
 * The share of the connections that usual statements may take. The others are left to the few statements of the fast path, which
 * therefore never wait behind hundreds of slower ones.
 */
export class CommonLane {
  readonly #places: number;
  readonly #waitMs: number;
  readonly #waiting = new Set<Waiting>();
  #taken = 0;

  constructor(places: number, waitMs: number) {
    this.#places = places;
    this.#waitMs = waitMs;
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  /** Takes a place, in order of arrival. Rejects as the pool does when none comes free in time. */
  enter(): Promise<void> {
    if (this.#taken < this.#places) {
      this.#taken++;
      return Promise.resolve();
    }
    return new Promise((begin, refuse) => {
      const late = setTimeout(() => {
        this.#waiting.delete(waiting);
        refuse(new Error('timeout exceeded when trying to connect'));
      }, this.#waitMs);
      const waiting = { begin, late };
      this.#waiting.add(waiting);
    });
  }

  /** The place passes to the one that has waited longest. */
  leave(): void {
    for (const next of this.#waiting) {
      this.#waiting.delete(next);
      clearTimeout(next.late);
      next.begin();
      return;
    }
    this.#taken--;
  }
}
