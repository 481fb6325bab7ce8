const placesLog2 = 19;
/** The golden ratio as a part of 2³², which spreads ids that follow each other (Knuth, The Art of Computer Programming 3, 6.4). */
const spread = 0x9e3779b1;

/** Remembers which users came lately, in two megabytes. Of those who share a place, only the last one is known. */
export class Visitors {
  #last: Int32Array | undefined;

  /** Whether this user came before, as far as it is remembered. From now on they did. */
  cameBefore(id: number): boolean {
    this.#last ??= new Int32Array(2 ** placesLog2);
    const place = Math.imul(id, spread) >>> (32 - placesLog2);
    const mark = id | 0;
    const isKnown = this.#last[place] === mark;
    this.#last[place] = mark;
    return isKnown;
  }
}
