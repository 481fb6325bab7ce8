import { availableParallelism } from 'node:os';
import { hash, verify } from '@node-rs/argon2';
import { AtMost } from '../../concurrency/at-most.ts';

// OWASP's first choice for argon2id, which is the library's default algorithm: about 30 ms and 19 MiB each.
const cost = { memoryCost: 19_456, timeCost: 2, parallelism: 1 } as const;
// Fewer than the four threads of Node's pool: name look-ups and file reads of other requests need it too.
const maxAtOnce = Math.min(3, availableParallelism());
const maxHashesWaiting = 64;

/** Verified if there is no such account, so that the cost is the same. No password is known for this hash. */
const noAccountHash = `$argon2id$v=19$m=${cost.memoryCost},t=${cost.timeCost},p=${cost.parallelism}$${'A'.repeat(22)}$${'A'.repeat(43)}`;

/** One per process, even if several services run in it: they share memory and processor. */
const slots = new AtMost({
  atOnce: maxAtOnce,
  waiting: maxHashesWaiting,
  refusal: 'Too many sign-ins are waiting. Try again shortly.',
  retryAfterSeconds: 1,
});

/** Runs `work` as soon as there is a slot. Refuses it with 503 if too many wait already. */
export function inHashingSlot<T>(work: () => Promise<T>): Promise<T> {
  return slots.run(work);
}

/** Call this in a slot. */
export function hashPassword(password: string): Promise<string> {
  return hash(password, cost);
}

/** True if the password is right. Does the same work for an account that does not exist. Call this in a slot. */
export async function verifyPassword(hashed: string | undefined, password: string): Promise<boolean> {
  const right = await verify(hashed ?? noAccountHash, password);
  return right && hashed !== undefined;
}
