import type { ServerResponse } from 'node:http';
import type { FastifyInstance } from 'fastify';
import { AtMost } from '../concurrency/at-most.ts';
import { partyOf } from './party.ts';

/** Smaller answers are not counted: the calls under way bound them. */
const countedBytes = 64 * 1024;
const placeBytes = 1024 * 1024;
const placesAtOnce = 256;

/** Large answers that are not sent yet, by the megabyte: clients that do not read cost memory, and one caller half of it at most. */
const unsent = new AtMost({
  atOnce: placesAtOnce,
  factor: 1,
  refusal: 'Too many large answers are unread. Read those you requested, then try again.',
  retryAfterSeconds: 1,
});

/** Whether an answer of this size counts: spares small ones the call. */
export function isCounted(bytes: number): boolean {
  return bytes > countedBytes;
}

/**
 * Counts an answer that is about to be sent until it is, or its client has left. Its first part of a megabyte counts as a whole one.
 * @throws Problem 503 when the caller, or all, have too much under way.
 */
export function takeUnsent(response: ServerResponse, bytes: number, partyOfCall: () => string): void {
  if (!isCounted(bytes)) return;
  const party = partyOfCall();
  const left: (() => void)[] = [];
  const leave = () => {
    for (const one of left.splice(0)) one();
  };
  try {
    for (let taken = 0; taken < bytes; taken += placeBytes) left.push(unsent.enter(party));
  } catch (error) {
    leave();
    throw error;
  }
  response.once('close', leave);
  if (response.closed) leave();
}

/**
 * Counts what the framework sends whole. Streams are counted by those who make them. What has changed something is answered in
 * any case: a refusal would say that it did not happen.
 */
export function countWholeAnswers(app: FastifyInstance): void {
  app.addHook('onSend', (request, reply, payload, done) => {
    try {
      const isWhole = typeof payload === 'string' || Buffer.isBuffer(payload);
      if (isWhole && request.method === 'GET') {
        takeUnsent(reply.raw, payload.length, () => partyOf(request));
      }
      done(null, payload);
    } catch (error) {
      done(error instanceof Error ? error : new Error(String(error)));
    }
  });
}
