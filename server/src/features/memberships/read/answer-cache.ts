/**
 * Remembers what was used lately, at most twice `half` bytes, roughly: a new half is begun when one is full, and the half
 * before the last is dropped whole. What is found in the older half moves over. Cheaper per use than a list in order of use.
 */
export class Memory<Key, Value> {
  readonly #half: number;
  readonly #sizeOf: (key: Key, value: Value) => number;
  #young = new Map<Key, Value>();
  #old = new Map<Key, Value>();
  #bytes = 0;

  constructor(half: number, sizeOf: (key: Key, value: Value) => number) {
    this.#half = half;
    this.#sizeOf = sizeOf;
  }

  get(key: Key): Value | undefined {
    const young = this.#young.get(key);
    if (young !== undefined) return young;
    const old = this.#old.get(key);
    if (old !== undefined) this.set(key, old);
    return old;
  }

  set(key: Key, value: Value): void {
    if (this.#bytes >= this.#half) {
      this.#old = this.#young;
      this.#young = new Map();
      this.#bytes = 0;
    }
    const before = this.#young.get(key);
    if (before !== undefined) this.#bytes -= this.#sizeOf(key, before);
    this.#bytes += this.#sizeOf(key, value);
    this.#young.set(key, value);
  }

  get size(): number {
    return this.#young.size + this.#old.size;
  }
}
