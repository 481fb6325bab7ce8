import type { Socket } from 'node:net';
import { answerBrokenRequest, isLate, lateRequest } from '../problems.ts';
import type { Connection, Tracker } from './tracker.ts';

type Answer = (error: Error, socket: Socket) => void;

/**
 * Node measures the time of headers from their first byte, also while we do not read their connection, since calls wait on it or its
 * answers are not read: the rest of them may have been there all along. Such headers have their whole time once we read again.
 * `answer` is given all other broken requests.
 */
export function boundHeaders(
  tracker: Pick<Tracker, 'connections' | 'onSweep'>,
  headersMs: number,
  answer: Answer,
): Answer {
  tracker.onSweep((connection, now) => {
    if (connection.headersSince === undefined) return;
    if (connection.socket.isPaused()) connection.headersSince = now;
    else if (now - connection.headersSince > headersMs) end(connection);
  });
  return (error, socket) => {
    const connection = tracker.connections.get(socket);
    if (!connection || !isLate(error)) return answer(error, socket);
    const readSince = socket.isPaused() ? performance.now() : connection.readSince;
    if (performance.now() - readSince < headersMs) connection.headersSince = readSince;
    else if (connection.calls > 0) end(connection);
    else answer(error, socket);
  };
}

/** With calls under way the client would take a 408 for the answer to the first of them. */
function end(connection: Connection): void {
  connection.headersSince = undefined;
  if (connection.calls > 0) connection.socket.destroy();
  else answerBrokenRequest(lateRequest(), connection.socket);
}
