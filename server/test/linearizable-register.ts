/** What one writer writes, version after version, while many read: each call on it as it is sent and as it is answered. */
export interface Register {
  /** The next version is sent. */
  begin(): number;
  /** The version sent last is acknowledged. */
  acknowledge(): void;
  /** The version sent last. */
  latest(): number;
  /**
   * A read is sent. What is returned judges its answer, once it is there: whether some version can stand behind it that
   * makes the whole linearizable.
   */
  read(): (mayBe: (version: number) => boolean) => boolean;
}

/**
 * With one writer and versions there is nothing to search: a read shows no less than was acknowledged, or shown to
 * anybody, before it was sent, and no more than was sent before it was answered. To take the least version that an
 * answer may stand for leaves later reads the most room, so that nothing sound is refused.
 */
export function createRegister(): Register {
  let begun = 0;
  let least = 0;
  return {
    begin: () => ++begun,
    latest: () => begun,
    acknowledge() {
      least = Math.max(least, begun);
    },
    read() {
      const from = least;
      return (mayBe) => {
        for (let version = from; version <= begun; version++) {
          if (!mayBe(version)) continue;
          least = Math.max(least, version);
          return true;
        }
        return false;
      };
    },
  };
}
