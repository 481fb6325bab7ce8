import { DeadlineExceeded, KohortError, Unreachable } from './errors.ts';

/** Off by default: without it every answer comes from the service. */
export interface CacheOptions {
  /** Milliseconds for which an answer is reused. */
  readonly maxAgeMs: number;
  /** The most users that are kept; the least recently read are dropped first. Default 10,000. */
  readonly maxUsers?: number;
  /** Milliseconds for which an older answer is used while the service cannot answer. Default 0. */
  readonly staleIfErrorMs?: number;
}

interface Entry {
  readonly segments: readonly string[];
  readonly at: number;
}

const DEFAULT_MAX_USERS = 10_000;

function isFaultOfService(error: unknown): boolean {
  return (
    error instanceof Unreachable ||
    error instanceof DeadlineExceeded ||
    (error instanceof KohortError && (error.status >= 500 || error.status === 429))
  );
}

type Read = (user: string) => Promise<readonly string[]>;

/** Keeps answers for a while. `now` is in milliseconds and never goes back. */
export function cached(read: Read, options: CacheOptions, now: () => number): Read {
  const { maxAgeMs, maxUsers = DEFAULT_MAX_USERS, staleIfErrorMs = 0 } = options;
  const entries = new Map<string, Entry>();

  function keep(user: string, entry: Entry): void {
    entries.delete(user);
    entries.set(user, entry);
    const [oldest] = entries.keys();
    if (entries.size > maxUsers && oldest !== undefined) entries.delete(oldest);
  }

  return async (user) => {
    const known = entries.get(user);
    if (known && now() - known.at < maxAgeMs) {
      keep(user, known);
      return known.segments;
    }
    // The age of an answer counts from when it was requested.
    const at = now();
    try {
      const segments = await read(user);
      keep(user, { segments, at });
      return segments;
    } catch (error) {
      if (known && isFaultOfService(error) && now() - known.at < maxAgeMs + staleIfErrorMs) return known.segments;
      if (!isFaultOfService(error)) entries.delete(user);
      throw error;
    }
  };
}
