import { createLanes, lanes, maxGroups, maxRestBytes, saltBytes } from './sha256-lanes.ts';

const blockWords = 16;
const saltWords = saltBytes / 4;
const endOfMessage = 0x80;
const lastAscii = 127;

/** Made at the start, since it takes some 30 ms. */
const shared = createLanes();
/** Whose salts the memory of the lanes holds. */
let resident: SaltedWords | undefined;

/** Whether the digests of a salt can be computed together with those of others. */
export function fitsLane(salt: string): boolean {
  return salt.length === saltBytes && isAscii(salt);
}

function isAscii(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > lastAscii) return false;
  return true;
}

/** As many salts as the lanes take at once. */
export const maxSalts = maxGroups * lanes;

/** The first words of SHA-256 of `salt:key`, for many salts and one key after the other. */
export class SaltedWords {
  readonly #salts: Int32Array;
  readonly #groups: number;
  readonly #rest = new Int32Array(blockWords * 4);
  readonly #words: Uint32Array | undefined;

  constructor(salts: readonly string[]) {
    this.#groups = Math.ceil(salts.length / lanes);
    if (this.#groups > maxGroups || !salts.every(fitsLane)) throw new Error('salts that do not fit');
    this.#words = shared?.digests.subarray(0, salts.length);
    this.#salts = new Int32Array(this.#groups * lanes * saltWords);
    for (const [i, salt] of salts.entries()) {
      const [group, lane] = [Math.floor(i / lanes), i % lanes];
      const bytes = Buffer.from(salt, 'latin1');
      for (let word = 0; word < saltWords; word++) {
        this.#salts[(group * saltWords + word) * lanes + lane] = bytes.readInt32BE(word * 4);
      }
    }
  }

  /**
   * In the order of the salts, until the next key is asked about: these lie where the next ones are computed. Undefined for a key
   * that takes another way.
   */
  of(key: string): Uint32Array | undefined {
    if (!shared || key.length + 1 > maxRestBytes) return undefined;
    const blocks = this.#write(key, shared.rest);
    if (blocks === undefined) return undefined;
    if (resident !== this) {
      shared.salts.set(this.#salts);
      shared.prepare(this.#groups);
      resident = this;
    }
    shared.run(this.#groups, blocks);
    return this.#words;
  }

  /** Writes `:key` and the end of the message, and returns how many blocks that makes; undefined where the key is not ASCII. */
  #write(key: string, rest: Int32Array): number | undefined {
    const bytes = saltBytes + 1 + key.length;
    const blocks = Math.ceil((bytes + 9) / 64);
    const words = blocks * blockWords - saltWords;
    const written = this.#rest;
    written.fill(0, 0, words);
    written[0] = 0x3a << 24;
    for (let i = 0; i < key.length; i++) {
      const code = key.charCodeAt(i);
      if (code > lastAscii) return undefined;
      const at = i + 1;
      written[at >> 2] = (written[at >> 2] ?? 0) | (code << (24 - (at & 3) * 8));
    }
    const end = key.length + 1;
    written[end >> 2] = (written[end >> 2] ?? 0) | (endOfMessage << (24 - (end & 3) * 8));
    written[words - 1] = bytes * 8;
    for (let i = 0; i < words; i++) rest.fill(written[i] ?? 0, i * lanes, (i + 1) * lanes);
    return blocks;
  }
}
