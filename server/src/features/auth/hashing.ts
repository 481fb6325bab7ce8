import { availableParallelism } from 'node:os';
import { Problem } from '@kohort/contract';
import { hash, verify } from '@node-rs/argon2';

// OWASP's first choice for argon2id, which is the library's default algorithm: about 30 ms and 19 MiB each.
const cost = { memoryCost: 19_456, timeCost: 2, parallelism: 1 } as const;
// Fewer than the four threads of Node's pool: name look-ups and file reads of other requests need it too.
const maxAtOnce = Math.min(3, availableParallelism());
const maxHashesWaiting = 64;

/** Compared with when there is no such account, so that it costs the same. It is the hash of no known password. */
const noAccountHash = `$argon2id$v=19$m=${cost.memoryCost},t=${cost.timeCost},p=${cost.parallelism}$${'A'.repeat(22)}$${'A'.repeat(43)}`;

export type Slots = <T>(work: () => Promise<T>) => Promise<T>;

/** Runs `atOnce` pieces of work at once, lets `maxWaiting` wait, and refuses the rest with 503. */
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
      // The slot is handed over, so that no newcomer can take it in between.
      const next = waiting.shift();
      if (next) next();
      else taken--;
    }
  };
}

/** One per process, however many services run in it, because memory and processor belong to the process. */
export const inHashingSlot: Slots = createSlots(maxAtOnce, maxHashesWaiting);

/** Call this in a slot. */
export function hashPassword(password: string): Promise<string> {
  return hash(password, cost);
}

/** True when the password is right. Does the same work for an account that does not exist. Call this in a slot. */
export async function verifyPassword(hashed: string | undefined, password: string): Promise<boolean> {
  const right = await verify(hashed ?? noAccountHash, password);
  return right && hashed !== undefined;
}
