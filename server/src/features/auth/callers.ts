import type { Caller } from '../../http/caller.ts';

/** A token that was found good: who it stands for, until when it can at most be good, and when that was last read. */
export interface Known {
  readonly caller: Caller;
  /** Undefined for sessions. */
  readonly keyId: number | undefined;
  /** Milliseconds since 1970; infinite for a key without end. */
  readonly expiresAt: number;
}

interface Entry extends Known {
  readonly readAt: number;
}

export interface CallersOptions {
  /** Reads a token anew. Undefined: no good, or not any more. */
  readonly read: (token: string) => Promise<Known | undefined>;
  readonly capacity: number;
  /** Milliseconds after which a token is read again. */
  readonly maxAge: number;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** Milliseconds that only ever grow. */
  readonly elapsed: () => number;
}

export interface Callers {
  authenticate(token: string): Promise<Caller | undefined>;
  /** Who a token stands for, if that was read lately enough; otherwise nothing is said of it. */
  known(token: string): Caller | undefined;
  /** Forgets what was known before: the next call of each of these tokens reads anew. */
  forget(matches: (known: Known) => boolean): void;
  readonly size: () => number;
}

/**
 * A bounded map from good tokens to whom they stand for, each at most `maxAge` old. A read that fails, because the database is
 * away, fails its callers: what is not known is neither good nor bad.
 */
export function createCallers({ read, capacity, maxAge, now, elapsed }: CallersOptions): Callers {
  const entries = new Map<string, Entry>();
  let underWay = new Map<string, { readonly reading: Promise<Known | undefined>; readonly since: number }>();

  async function readAnew(token: string): Promise<Known | undefined> {
    // The age counts from before the read: what it saw may have changed since then.
    const readAt = elapsed();
    const era = underWay;
    try {
      const known = await read(token);
      // Something was revoked meanwhile: this read may have been before, and must not outlive the callers who await it.
      if (era !== underWay) return known;
      // Overtaken by a read that began later.
      if ((entries.get(token)?.readAt ?? readAt) > readAt) return known;
      entries.delete(token);
      if (known) {
        const [oldest] = entries.keys();
        if (oldest !== undefined && entries.size >= capacity) entries.delete(oldest);
        entries.set(token, { ...known, readAt });
      }
      return known;
    } finally {
      era.delete(token);
    }
  }

  return {
    async authenticate(token) {
      const entry = entries.get(token);
      let known: Known | undefined = entry;
      if (!entry || elapsed() - entry.readAt >= maxAge) {
        let joined = underWay.get(token);
        // A read that takes long may have seen what was revoked since: who comes later than that begins one of their own.
        if (!joined || elapsed() - joined.since >= maxAge) {
          joined = { reading: readAnew(token), since: elapsed() };
          underWay.set(token, joined);
        }
        known = await joined.reading;
      }
      return known && known.expiresAt > now() ? known.caller : undefined;
    },
    known(token) {
      const entry = entries.get(token);
      return entry && elapsed() - entry.readAt < maxAge && entry.expiresAt > now() ? entry.caller : undefined;
    },
    forget(matches) {
      for (const [token, entry] of entries) if (matches(entry)) entries.delete(token);
      underWay = new Map();
    },
    size: () => entries.size,
  };
}
