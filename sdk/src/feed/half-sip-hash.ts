/**
 * HalfSipHash-2-4 with 64 bits of key and of output, over the UTF-16 code units of a text. The hash is keyed: without the
 * key, which is random, an attacker cannot search for two texts with the same hash. It uses 32-bit arithmetic, which is fast in every
 * engine, and plain code, since browsers offer no synchronous hash.
 */
export class HalfSipHash {
  readonly #key0: number;
  readonly #key1: number;
  /** The two halves of the last hash. */
  low = 0;
  high = 0;

  constructor(key0: number, key1: number) {
    this.#key0 = key0;
    this.#key1 = key1;
  }

  /** Sets `low` and `high`: an object for each hash would cost more than the hash. */
  update(text: string): void {
    let v0 = this.#key0;
    let v1 = this.#key1 ^ 0xee;
    let v2 = 0x6c796765 ^ this.#key0;
    let v3 = 0x74656462 ^ this.#key1;
    const { length } = text;
    const pairs = length >> 1;
    // The last word has the length in its top byte, as the number of bytes modulo 256.
    const last = ((length * 2) << 24) | (length & 1 ? text.charCodeAt(length - 1) : 0);
    for (let i = 0; i < pairs + 5; i++) {
      let word = 0;
      let rounds = 2;
      if (i < pairs) word = text.charCodeAt(2 * i) | (text.charCodeAt(2 * i + 1) << 16);
      else if (i === pairs) word = last;
      else {
        // Two rounds of each of the four that finish either half of the output.
        if (i === pairs + 1) v2 ^= 0xee;
        if (i === pairs + 3) {
          this.low = (v1 ^ v3) >>> 0;
          v1 ^= 0xdd;
        }
      }
      v3 ^= word;
      for (; rounds > 0; rounds--) {
        v0 = (v0 + v1) | 0;
        v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
        v0 = (v0 << 16) | (v0 >>> 16);
        v2 = (v2 + v3) | 0;
        v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
        v0 = (v0 + v3) | 0;
        v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
        v2 = (v2 + v1) | 0;
        v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
        v2 = (v2 << 16) | (v2 >>> 16);
      }
      v0 ^= word;
    }
    this.high = (v1 ^ v3) >>> 0;
  }
}
