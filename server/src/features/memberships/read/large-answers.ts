import { Problem } from '@kohort/contract';
import { AtMost } from '../../../concurrency/at-most.ts';

/** The most that one answer may hold. */
export const maxAnswerBytes = 32 * 1024 * 1024;

/** An answer with more entries than this takes a place while it is built. */
export const largeEntries = 1_000;

export function answerTooLarge(): Problem {
  return new Problem(
    'answer_too_large',
    'The answer would exceed 32 MiB. Ask about fewer users at a time, or name the segments it is about.',
  );
}

/**
 * Places for answers of megabytes. Built all at once they would take as many times their memory, and all would be late; one
 * caller has half of the places. Few wait, since each holds what its statement brought.
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
