/** How many entries a page has on average before another page is added. */
const defaultPageEntries = 512;
/** A page grows by this fraction, so that little of it is empty. */
const growthShift = 4;
const minGrowth = 4;

const noEntries = new Uint32Array(0);

export interface KeyTableShape {
  readonly keyWords: number;
  readonly valueWords?: number;
  readonly pageEntries?: number;
}

/**
 * Entries of a few 32-bit words, found by the first of them, the key, whose first word must be spread evenly. A million of them
 * take hardly more than their own bytes: each page is one typed array, sorted and nearly full. Pages are split one at a time
 * (linear hashing), so no insertion takes long and nothing is ever held twice.
 */
export class KeyTable {
  readonly #keyWords: number;
  readonly #words: number;
  readonly #pageEntries: number;
  readonly #pages: Uint32Array[] = [noEntries];
  readonly #lengths: number[] = [0];
  /** Pages up to `#split` have been split by this bit of the first word already. */
  #bit = 0;
  #split = 0;
  #size = 0;

  constructor({ keyWords, valueWords = 0, pageEntries = defaultPageEntries }: KeyTableShape) {
    this.#keyWords = keyWords;
    this.#words = keyWords + valueWords;
    this.#pageEntries = pageEntries;
  }

  get size(): number {
    return this.#size;
  }

  has(key: Uint32Array): boolean {
    const page = this.#pageOf(key[0] ?? 0);
    return this.#search(page, key) >= 0;
  }

  /** Copies the entry with this key over the key; false if there is none. */
  get(entry: Uint32Array): boolean {
    const page = this.#pageOf(entry[0] ?? 0);
    const place = this.#search(page, entry);
    if (place < 0) return false;
    const words = this.#pages[page] ?? noEntries;
    for (let i = this.#keyWords; i < this.#words; i++) entry[i] = words[place * this.#words + i] ?? 0;
    return true;
  }

  /** Adds an entry, or replaces the value of the one with its key. */
  set(entry: Uint32Array): void {
    const page = this.#pageOf(entry[0] ?? 0);
    const found = this.#search(page, entry);
    const place = found < 0 ? ~found : found;
    const words = found < 0 ? this.#makeRoom(page, place) : (this.#pages[page] ?? noEntries);
    for (let i = 0; i < this.#words; i++) words[place * this.#words + i] = entry[i] ?? 0;
    if (found < 0 && ++this.#size > this.#pages.length * this.#pageEntries) this.#splitNext();
  }

  delete(key: Uint32Array): boolean {
    const page = this.#pageOf(key[0] ?? 0);
    const place = this.#search(page, key);
    if (place < 0) return false;
    const words = this.#pages[page] ?? noEntries;
    const length = (this.#lengths[page] ?? 0) - 1;
    words.copyWithin(place * this.#words, (place + 1) * this.#words, (length + 1) * this.#words);
    this.#lengths[page] = length;
    this.#size--;
    if (words.length > 2 * this.#capacityFor(length)) this.#resize(page);
    return true;
  }

  /** Deletes every entry that is not to be kept. */
  sweep(isKept: (entry: Uint32Array) => boolean): void {
    for (const [page, words] of this.#pages.entries()) {
      let kept = 0;
      for (let i = 0; i < (this.#lengths[page] ?? 0); i++) {
        const entry = words.subarray(i * this.#words, (i + 1) * this.#words);
        if (isKept(entry)) words.set(entry, this.#words * kept++);
      }
      this.#size -= (this.#lengths[page] ?? 0) - kept;
      this.#lengths[page] = kept;
      this.#resize(page);
    }
  }

  #pageOf(word: number): number {
    const page = word & ((1 << this.#bit) - 1);
    return page < this.#split ? word & ((2 << this.#bit) - 1) : page;
  }

  /** Where a key is, or the complement of where it belongs. */
  #search(page: number, key: Uint32Array): number {
    const words = this.#pages[page] ?? noEntries;
    const first = key[0] ?? 0;
    let low = 0;
    let high = this.#lengths[page] ?? 0;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const at = middle * this.#words;
      let difference = (words[at] ?? 0) - first;
      for (let i = 1; difference === 0 && i < this.#keyWords; i++) difference = (words[at + i] ?? 0) - (key[i] ?? 0);
      if (difference === 0) return middle;
      if (difference < 0) low = middle + 1;
      else high = middle;
    }
    return ~low;
  }

  /** The words of a page, with the entries from an index on moved up by one. */
  #makeRoom(page: number, place: number): Uint32Array {
    const length = this.#lengths[page] ?? 0;
    const full = this.#pages[page] ?? noEntries;
    const words = full.length < (length + 1) * this.#words ? this.#resize(page) : full;
    words.copyWithin((place + 1) * this.#words, place * this.#words, length * this.#words);
    this.#lengths[page] = length + 1;
    return words;
  }

  #capacityFor(length: number): number {
    return (length + Math.max(minGrowth, length >> growthShift)) * this.#words;
  }

  #resize(page: number): Uint32Array {
    const length = this.#lengths[page] ?? 0;
    const words = new Uint32Array(this.#capacityFor(length));
    words.set((this.#pages[page] ?? noEntries).subarray(0, length * this.#words));
    this.#pages[page] = words;
    return words;
  }

  #splitNext(): void {
    const page = this.#split;
    const words = this.#pages[page] ?? noEntries;
    const moved = new Uint32Array(words.length);
    const length = this.#lengths[page] ?? 0;
    let [kept, leaving] = [0, 0];
    for (let i = 0; i < length; i++) {
      const entry = words.subarray(i * this.#words, (i + 1) * this.#words);
      if (((entry[0] ?? 0) >>> this.#bit) & 1) moved.set(entry, this.#words * leaving++);
      else words.set(entry, this.#words * kept++);
    }
    this.#lengths[page] = kept;
    this.#resize(page);
    this.#pages.push(moved);
    this.#lengths.push(leaving);
    this.#resize(this.#pages.length - 1);
    if (++this.#split === 1 << this.#bit) [this.#bit, this.#split] = [this.#bit + 1, 0];
  }
}
