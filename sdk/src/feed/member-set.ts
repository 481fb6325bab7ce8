import { HalfSipHash } from './half-sip-hash.ts';
import { KeyTable } from './key-table.ts';

const TWO_TO_32 = 2 ** 32;
/** How many external ids without a member are tolerated before they are swept. */
const defaultMinStale = 1_024;

/** Spreads words evenly and without collisions (the finalizer of MurmurHash3). */
function spread(word: number): number {
  let mixed = Math.imul(word ^ (word >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}

/** Hashes external ids to 96 bits under keys of its own. */
export class ExternalIdHash {
  readonly #first: HalfSipHash;
  readonly #second: HalfSipHash;

  constructor(keys: Uint32Array) {
    const [a = 0, b = 0, c = 0, d = 0] = keys;
    this.#first = new HalfSipHash(a, b);
    this.#second = new HalfSipHash(c, d);
  }

  write(externalId: string, entry: Uint32Array): void {
    this.#first.update(externalId);
    this.#second.update(externalId);
    entry[0] = this.#first.low;
    entry[1] = this.#first.high;
    entry[2] = this.#second.low;
  }
}

export interface MemberSetLimits {
  readonly pageEntries?: number;
  readonly minStale?: number;
}

/**
 * The members of one segment, in 28 bytes each. Ids are stored as they are. For an external id, 96 bits of a keyed hash are stored
 * with the id of its user: among a million members, another text is taken for one of them with a probability of 2^-76.
 */
export class MemberSet {
  readonly #ids: KeyTable;
  readonly #externalIds: KeyTable;
  readonly #minStale: number;
  readonly #hash: ExternalIdHash;
  readonly #id = new Uint32Array(2);
  readonly #entry = new Uint32Array(5);
  /** External ids that may have no member any more. */
  #stale = 0;

  constructor(hash: ExternalIdHash, { pageEntries, minStale = defaultMinStale }: MemberSetLimits = {}) {
    this.#hash = hash;
    this.#minStale = minStale;
    const limits = pageEntries === undefined ? {} : { pageEntries };
    this.#ids = new KeyTable({ keyWords: 2, ...limits });
    this.#externalIds = new KeyTable({ keyWords: 3, valueWords: 2, ...limits });
  }

  get size(): number {
    return this.#ids.size;
  }

  add(userId: number, externalId: string | null): void {
    this.#ids.set(this.#keyOf(userId));
    if (externalId === null) return;
    this.#hash.write(externalId, this.#entry);
    this.#entry[3] = this.#id[0] ?? 0;
    this.#entry[4] = this.#id[1] ?? 0;
    this.#externalIds.set(this.#entry);
  }

  /** The external id may be unknown by now: the user may have been erased. */
  remove(userId: number, externalId: string | null): void {
    if (!this.#ids.delete(this.#keyOf(userId))) return;
    if (externalId === null) {
      if (++this.#stale > this.#minStale && this.#stale > this.#externalIds.size >> 3) this.#sweep();
      return;
    }
    this.#hash.write(externalId, this.#entry);
    // Another user may have the external id by now.
    const isOwn = this.#externalIds.get(this.#entry) && this.#isOf(this.#entry);
    if (isOwn) this.#externalIds.delete(this.#entry);
  }

  hasId(userId: number): boolean {
    return this.#ids.has(this.#keyOf(userId));
  }

  hasExternalId(externalId: string): boolean {
    this.#hash.write(externalId, this.#entry);
    return this.#externalIds.get(this.#entry) && this.#isMember(this.#entry);
  }

  #keyOf(userId: number): Uint32Array {
    const high = Math.floor(userId / TWO_TO_32);
    this.#id[0] = spread((userId >>> 0) ^ high);
    this.#id[1] = high;
    return this.#id;
  }

  #isOf(entry: Uint32Array): boolean {
    return entry[3] === this.#id[0] && entry[4] === this.#id[1];
  }

  #isMember(entry: Uint32Array): boolean {
    this.#id[0] = entry[3] ?? 0;
    this.#id[1] = entry[4] ?? 0;
    return this.#ids.has(this.#id);
  }

  #sweep(): void {
    this.#externalIds.sweep((entry) => this.#isMember(entry));
    this.#stale = 0;
  }
}
