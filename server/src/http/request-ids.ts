import { randomUUID } from 'node:crypto';

const idLength = 36;
const tailDigits = 2;
const tails = Array.from({ length: 16 ** tailDigits }, (_, i) => i.toString(16).padStart(tailDigits, '0'));

/** Ids in one text. */
let made = '';
let next = 0;

function makeIds(): string {
  const head = randomUUID().slice(0, -tailDigits);
  // Written as bytes, it is one piece, as are the parts of it.
  return Buffer.from(tails.map((tail) => head + tail).join(''), 'latin1').toString('latin1');
}

/**
 * An id in the form of a UUID. 256 in a row share all but the last two digits: node puts a random one together of twenty pieces,
 * and they are copied one by one wherever it is written.
 */
export function newRequestId(): string {
  if (next === made.length) {
    made = makeIds();
    next = 0;
  }
  next += idLength;
  return made.slice(next - idLength, next);
}
