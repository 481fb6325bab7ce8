const placesLog2 = 19;
/** The golden ratio as a part of 2³², which spreads ids that follow each other (Knuth, The Art of Computer Programming 3, 6.4). */
const spread = 0x9e3779b1;

/**
 * Remembers which ids came lately, in two megabytes. Of those that share a place, only the last one is known: where they come by
 * turns, none of them ever is.
 */
export class Visitors {
  #last: Int32Array | undefined;

  /** Whether this id came before, as far as it is remembered. From now on it did. */
  cameBefore(id: number): boolean {
    this.#last ??= new Int32Array(2 ** placesLog2);
    const place = Math.imul(id, spread) >>> (32 - placesLog2);
    const mark = id | 0;
    const isKnown = this.#last[place] === mark;
    this.#last[place] = mark;
    return isKnown;
  }
}

/** A number for a text: FNV-1a (Fowler, Noll and Vo) of its code units, 32 bits. */
export function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash;
}
