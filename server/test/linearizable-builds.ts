import { vi } from 'vitest';
import type { Outcome } from '../src/features/memberships/write/override-change.ts';
import type { coalesce as sound } from '../src/postgres/batch.ts';
import type { listen } from './listen.ts';

type Coalesce = typeof sound;
export type Break = (coalesce: Coalesce) => Coalesce;

/** Only writes have keys that keep them in order. */
const isOfWrites = (options: { readonly keyOf?: unknown }) => options.keyOf !== undefined;

/** An answer in flight, or one of a moment ago, serves whoever asks the same. */
function sharing(forMs: number): Break {
  return (coalesce) => (options) => {
    const call = coalesce(options);
    if (isOfWrites(options)) return call;
    const shared = new Map<string, ReturnType<typeof call>>();
    const share: (...asked: Parameters<typeof call>) => ReturnType<typeof call> = (ask) => {
      const key = JSON.stringify(ask);
      const found = shared.get(key);
      if (found) return found;
      const answer = call(ask);
      shared.set(key, answer);
      const forget = () => void (forMs === 0 ? shared.delete(key) : setTimeout(() => shared.delete(key), forMs));
      answer.then(forget, forget);
      return answer;
    };
    return Object.assign(share, { waiting: call.waiting, inFlight: call.inFlight });
  };
}

const acknowledgingTooSoon: Break = (coalesce) => (options) => {
  if (!isOfWrites(options)) return coalesce(options);
  let last: Promise<unknown> = Promise.resolve();
  return coalesce({
    ...options,
    run: async (asks) => {
      const before = last;
      last = options.run(asks).catch(() => undefined);
      // Too soon by one, or writes that nothing waits for would take all connections.
      await before;
      return asks.map(() => 'added' satisfies Outcome as never);
    },
  });
};

/** Ways to get coalescing wrong that look right: each is a build of its own, to show that a test would notice it. */
export const broken = {
  'joins a statement in flight': sharing(0),
  'remembers answers for 20 ms': sharing(20),
  'acknowledges before the commit': acknowledgingTooSoon,
} satisfies Record<string, Break>;

/** `listen` of a build that is all the same but for how it coalesces. */
export async function listenBroken(how: Break): Promise<typeof listen> {
  vi.resetModules();
  vi.doMock('../src/postgres/batch.ts', async (original) => {
    const right = await original<{ coalesce: Coalesce }>();
    return { ...right, coalesce: how(right.coalesce) };
  });
  try {
    return (await import('./listen.ts')).listen;
  } finally {
    vi.doUnmock('../src/postgres/batch.ts');
    vi.resetModules();
  }
}
