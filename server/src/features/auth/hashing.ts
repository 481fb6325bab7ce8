import { availableParallelism } from 'node:os';
import { Problem } from '@kohort/contract';
import { hash, verify } from '@node-rs/argon2';

// OWASP's first choice for argon2id, the library's default algorithm: about 30 ms and 19 MiB each.
const COST = { memoryCost: 19_456, timeCost: 2, parallelism: 1 } as const;
// Never all four threads of node's pool: name look-ups and file reads of the other requests go through it too.
const AT_ONCE = Math.min(3, availableParallelism());
const MAX_WAITING = 64;

/** What the password of nobody is compared with, at the same cost as anybody's. It is the hash of no known password. */
const NOBODY = `$argon2id$v=19$m=${COST.memoryCost},t=${COST.timeCost},p=${COST.parallelism}$${'A'.repeat(22)}$${'A'.repeat(43)}`;

export type Slots = <T>(work: () => Promise<T>) => Promise<T>;

/** Lets `atOnce` through, `maxWaiting` wait, and refuses the rest with 503. */
export function createSlots(atOnce: number, maxWaiting: number): Slots {
  const waiting: (() => void)[] = [];
  let taken = 0;
  return async (work) => {
    if (taken < atOnce) {
      taken++;
    } else if (waiting.length >= maxWaiting) {
      throw new Problem('overloaded', 'Too many sign-ins are waiting. Try again shortly.', { retryAfter: 1 });
    } else {
      await new Promise<void>((resolve) => waiting.push(resolve));
    }
    try {
      return await work();
    } finally {
      // The slot passes from hand to hand, so that nobody slips in between.
      const next = waiting.shift();
      if (next) next();
      else taken--;
    }
  };
}

/** One per process, however many services run in it: memory and processor are the process's. */
export const inHashingSlot: Slots = createSlots(AT_ONCE, MAX_WAITING);

/** Call it in a slot. */
export function hashPassword(password: string): Promise<string> {
  return hash(password, COST);
}

/** Whether it is the password; the same work for an account that does not exist. Call it in a slot. */
export async function verifyPassword(hashed: string | undefined, password: string): Promise<boolean> {
  const right = await verify(hashed ?? NOBODY, password);
  return right && hashed !== undefined;
}
