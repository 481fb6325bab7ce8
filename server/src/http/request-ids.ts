import { randomUUID } from 'node:crypto';

const tailDigits = 3;
const tails = Array.from({ length: 16 ** tailDigits }, (_, i) => i.toString(16).padStart(tailDigits, '0'));

let head = '';
let next = tails.length;

/**
 * An id in the form of a UUID. 4,096 in a row share all but the last three digits, since a random one takes a read several times as
 * long: it is put together of twenty pieces, which are copied again into the answer.
 */
export function newRequestId(): string {
  if (next === tails.length) {
    head = randomUUID().slice(0, -tailDigits);
    next = 0;
  }
  return head + (tails[next++] ?? '');
}
