/** The places of one party among a bounded number. */
export interface Share {
  readonly of: Shares;
  readonly party: string;
  taken: number;
}

/**
 * A bounded number of places, of which one party may have `factor` times as many as are free (dynamic thresholds, Choudhury
 * and Hahne 1998). A party alone gets nearly all of them, yet there is always room for the next one: of `n` greedy parties
 * each gets `factor / (1 + n * factor)` of the places, and `1 / (1 + n * factor)` stays free.
 */
export class Shares {
  readonly #places: number;
  readonly #factor: number;
  readonly #shares = new Map<string, Share>();
  #taken = 0;

  constructor(places: number, factor: number) {
    this.#places = places;
    this.#factor = factor;
  }

  get taken(): number {
    return this.#taken;
  }

  /** Undefined if there is no room. */
  take(party: string): Share | undefined {
    const share = this.#shares.get(party) ?? { of: this, party, taken: 0 };
    if (share.taken >= this.#factor * (this.#places - this.#taken)) return undefined;
    if (share.taken === 0) this.#shares.set(party, share);
    this.#taken++;
    share.taken++;
    return share;
  }

  release(share: Share): void {
    this.#taken--;
    share.taken--;
    if (share.taken === 0) this.#shares.delete(share.party);
  }
}
