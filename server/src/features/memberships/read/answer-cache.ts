/**
 * Keeps recently used entries, at most roughly twice `halfBytes`. When one half is full a new one is started and the older half
 * is dropped whole; an entry found in the older half moves to the newer. Cheaper per use than a list in order of use.
 */
export class AnswerCache<Key, Value> {
  readonly #halfBytes: number;
  readonly #bytesOf: (key: Key, value: Value) => number;
  #young = new Map<Key, Value>();
  #old = new Map<Key, Value>();
  #bytes = 0;

  constructor(halfBytes: number, bytesOf: (key: Key, value: Value) => number) {
    this.#halfBytes = halfBytes;
    this.#bytesOf = bytesOf;
  }

  get(key: Key): Value | undefined {
    const young = this.#young.get(key);
    if (young !== undefined) return young;
    const old = this.#old.get(key);
    if (old !== undefined) this.set(key, old);
    return old;
  }

  set(key: Key, value: Value): void {
    if (this.#bytes >= this.#halfBytes) {
      this.#old = this.#young;
      this.#young = new Map();
      this.#bytes = 0;
    }
    const before = this.#young.get(key);
    if (before !== undefined) this.#bytes -= this.#bytesOf(key, before);
    this.#bytes += this.#bytesOf(key, value);
    this.#young.set(key, value);
  }

  get size(): number {
    return this.#young.size + this.#old.size;
  }
}
