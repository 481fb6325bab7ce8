import { Problem } from '@kohort/contract';
import { AtMost } from '../../../concurrency/at-most.ts';

/** The most bytes in one answer. */
export const maxAnswerBytes = 32 * 1024 * 1024;

/** An answer with more entries than this occupies a place while it is built. */
export const largeEntries = 1_000;

export function answerTooLarge(): Problem {
  return new Problem(
    'answer_too_large',
    'The answer would exceed 32 MiB. Ask about fewer users at a time, or name the segments it is about.',
  );
}

/**
 * Places for answers of megabytes. Without a bound, concurrent ones would multiply their memory and delay one another. One caller
 * may have half of the places. Few may wait, since each holds the rows of its statement.
 */
export function largeAnswerPlaces(): AtMost {
  return new AtMost({
    atOnce: 4,
    waiting: 100,
    factor: 1,
    refusal: 'Too many large answers are being built. Try again shortly.',
    retryAfterSeconds: 1,
  });
}
