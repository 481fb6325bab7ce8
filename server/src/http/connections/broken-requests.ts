import type { Socket } from 'node:net';
import { connectionsPerTurn } from './tracker.ts';

type Answer = (error: Error, socket: Socket) => void;

/**
 * Answers broken requests, at most some in one turn of the event loop. Node reports in one turn all whose headers are late, and all
 * that clients left in the middle when they leave together: thousands, if they like. A connection that waits for its answer is not
 * read, so that no call begins on it.
 */
export function inPortions(answer: Answer): Answer {
  let waiting: [Error, Socket][] = [];
  let answered = 0;
  const nextTurn = () => {
    const [some, rest] = [waiting.slice(0, connectionsPerTurn), waiting.slice(connectionsPerTurn)];
    waiting = rest;
    answered = some.length;
    if (answered > 0) setImmediate(nextTurn);
    for (const [error, socket] of some) {
      answer(error, socket);
      // Otherwise the client's leaving would go unnoticed.
      socket.resume();
    }
  };
  return (error, socket) => {
    if (waiting.length === 0 && answered < connectionsPerTurn) {
      if (answered++ === 0) setImmediate(nextTurn);
      answer(error, socket);
      return;
    }
    socket.pause();
    waiting.push([error, socket]);
  };
}
