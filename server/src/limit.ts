import { Problem } from '@kohort/contract';

/** At most so many of something at once; one more is refused with 503 and this detail. */
export class Limit {
  readonly #max: number;
  readonly #detail: string;
  #taken = 0;

  constructor(max: number, detail: string) {
    this.#max = max;
    this.#detail = detail;
  }

  /** Takes a place, which the caller must free. */
  take(): void {
    if (this.#taken >= this.#max) throw new Problem('overloaded', this.#detail, { retryAfter: 5 });
    this.#taken++;
  }

  free(): void {
    this.#taken--;
  }
}
