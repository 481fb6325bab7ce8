import { vi } from 'vitest';
import type { Outcome } from '../src/features/memberships/write/override-change.ts';
import type { coalesce as sound } from '../src/postgres/batch.ts';
import type { listen } from './listen.ts';

type Coalesce = typeof sound;
export type Break = (coalesce: Coalesce) => Coalesce;

/** Only writes have keys that keep them in order. */
const isOfWrites = (options: { readonly keyOf?: unknown }) => options.keyOf !== undefined;

/** Resolves when a broken build next gives a call the answer of another. */
export function nextSharing(): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  onSharing = resolve;
  return promise;
}
let onSharing: () => void = () => undefined;

/** An answer in flight, or with `remembers` any earlier one, serves the next call that asks the same. */
function sharing({ remembers }: { readonly remembers: boolean }): Break {
  return (coalesce) => (options) => {
    const call = coalesce(options);
    if (isOfWrites(options)) return call;
    const shared = new Map<string, ReturnType<typeof call>>();
    const share: (...asked: Parameters<typeof call>) => ReturnType<typeof call> = (ask) => {
      const key = JSON.stringify(ask);
      const found = shared.get(key);
      if (found) {
        onSharing();
        return found;
      }
      const answer = call(ask);
      shared.set(key, answer);
      const forget = () => void shared.delete(key);
      answer.then(remembers ? undefined : forget, forget);
      return answer;
    };
    return Object.assign(share, { waiting: call.waiting, inFlight: call.inFlight });
  };
}

let lastWrite: Promise<unknown> = Promise.resolve();
/** Resolves when the statement of a broken build's last write has ended, which its acknowledgement does not say. */
export const untilWritten = () => lastWrite;

const acknowledgingTooSoon: Break = (coalesce) => (options) => {
  if (!isOfWrites(options)) return coalesce(options);
  let last: Promise<unknown> = Promise.resolve();
  return coalesce({
    ...options,
    run: async (asks) => {
      const before = last;
      last = options.run(asks).catch(() => undefined);
      lastWrite = last;
      // Too soon by one, or writes that nothing waits for would take all connections.
      await before;
      return asks.map(() => 'added' satisfies Outcome as never);
    },
  });
};

/** Ways to get coalescing wrong that look right: each is a build of its own, to show that a test would notice it. */
export const namesOfBroken = [
  'joins a statement in flight',
  'remembers answers',
  'acknowledges before the commit',
] as const;
export type Broken = (typeof namesOfBroken)[number];

export const broken: Readonly<Record<Broken, Break>> = {
  'joins a statement in flight': sharing({ remembers: false }),
  'remembers answers': sharing({ remembers: true }),
  'acknowledges before the commit': acknowledgingTooSoon,
};

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
