import { type Caller, credentialWith } from '../../http/caller.ts';

/** The caller behind a valid token. */
export interface Known {
  readonly caller: Caller;
  /** Milliseconds since 1970. Infinite for a key without expiry. */
  readonly expiresAt: number;
}

interface Entry extends Known {
  /** By the monotonic clock. */
  readonly readAt: number;
  /** Likewise: when it is too old, or expired if that is sooner. */
  readonly knownUntil: number;
}

export interface CallersOptions {
  /** Reads a token from the database. Undefined if it is not valid. */
  readonly read: (token: string) => Promise<Known | undefined>;
  readonly capacity: number;
  /** The age at which a token is read again. */
  readonly maxAgeMs: number;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** Monotonic milliseconds. */
  readonly elapsed: () => number;
}

/**
 * A bounded cache from valid tokens to their callers, none older than `maxAgeMs`. If a read fails because the database is
 * unavailable, the calls that wait for it fail too: a token that cannot be read is neither valid nor invalid.
 */
export class Callers {
  readonly #options: CallersOptions;
  /** By credential, as it comes in a header: a call's is hashed once for all that looks it up. */
  readonly #entries = new Map<string, Entry>();
  #underWay = new Map<string, { readonly reading: Promise<Known | undefined>; readonly since: number }>();

  constructor(options: CallersOptions) {
    this.#options = options;
  }

  async authenticate(token: string): Promise<Caller | undefined> {
    const { now } = this.#options;
    const entry = this.#entries.get(credentialWith(token));
    const known = entry && this.#isYoung(entry.readAt) ? entry : await this.#join(token);
    return known && known.expiresAt > now() ? known.caller : undefined;
  }

  /** The caller, if the token in this credential was read recently. Undefined does not mean that it is invalid. */
  known(credential: string): Caller | undefined {
    const entry = this.#entries.get(credential);
    return entry && this.#options.elapsed() < entry.knownUntil ? entry.caller : undefined;
  }

  /** Drops entries, so that the next call with one of these tokens reads it again. */
  forget(matches: (known: Known) => boolean): void {
    for (const [credential, entry] of this.#entries) if (matches(entry)) this.#entries.delete(credential);
    this.#underWay = new Map();
  }

  get size(): number {
    return this.#entries.size;
  }

  #isYoung(since: number): boolean {
    return this.#options.elapsed() - since < this.#options.maxAgeMs;
  }

  /** Joins a running read of the token, unless that started too long ago to have seen a revocation. */
  #join(token: string): Promise<Known | undefined> {
    const joined = this.#underWay.get(token);
    if (joined && this.#isYoung(joined.since)) return joined.reading;
    const begun = { reading: this.#read(token), since: this.#options.elapsed() };
    this.#underWay.set(token, begun);
    return begun.reading;
  }

  async #read(token: string): Promise<Known | undefined> {
    // The age counts from before the read, because the token may have changed during it.
    const readAt = this.#options.elapsed();
    const now = this.#options.now();
    const underWay = this.#underWay;
    try {
      const known = await this.#options.read(token);
      // A token was revoked meanwhile, maybe after this read: answer the waiting calls, but do not cache.
      if (underWay !== this.#underWay) return known;
      // A read that started later has finished first.
      const credential = credentialWith(token);
      if ((this.#entries.get(credential)?.readAt ?? readAt) > readAt) return known;
      this.#entries.delete(credential);
      if (known) {
        const knownUntil = readAt + Math.min(this.#options.maxAgeMs, known.expiresAt - now);
        this.#keep(credential, { ...known, readAt, knownUntil });
      }
      return known;
    } finally {
      underWay.delete(token);
    }
  }

  #keep(credential: string, entry: Entry): void {
    const [oldest] = this.#entries.keys();
    if (oldest !== undefined && this.#entries.size >= this.#options.capacity) this.#entries.delete(oldest);
    this.#entries.set(credential, entry);
  }
}
