import { performance } from 'node:perf_hooks';
import type { FastifyInstance } from 'fastify';
import { answerBrokenRequest, lateRequest } from '../problems.ts';
import type { ArrivingBody, Connection, Tracker } from './tracker.ts';

export interface BodyTimeouts {
  /** Milliseconds that a body may take in total; an upload may take longer, but may not pause for this long. */
  readonly bodyMs: number;
  /** Milliseconds that the rest of a body may pause once its answer was sent. */
  readonly restMs: number;
}

/**
 * Limits how long the body of a request may take to arrive. Node's `requestTimeout` makes no exception for uploads.
 *
 * When a request is refused before its body was read, node reads and drops the rest: many clients read the answer only after
 * sending everything and would see a broken connection instead. That time is limited too.
 */
export function boundBodies(app: FastifyInstance, tracker: Tracker, timeouts: BodyTimeouts): void {
  tracker.onSweep((connection, now) => sweep(connection, now, timeouts));

  app.addHook('onRequest', ({ raw }, { raw: response }, done) => {
    const hasBody = raw.headers['content-length'] !== undefined || raw.headers['transfer-encoding'] !== undefined;
    const connection = hasBody && !raw.complete ? tracker.connections.get(raw.socket) : undefined;
    if (connection) {
      connection.arriving = {
        request: raw,
        response,
        since: performance.now(),
        bytes: undefined,
        answeredAt: undefined,
      };
    }
    done();
  });
  app.decorate('letTakeItsTime', (request) => {
    const arriving = tracker.connections.get(request.socket)?.arriving;
    if (arriving?.request === request) arriving.bytes = request.socket.bytesRead;
  });
}

function sweep(connection: Connection, now: number, { bodyMs, restMs }: BodyTimeouts): void {
  const { arriving, socket } = connection;
  if (!arriving) return;
  const { request, response } = arriving;
  if (request.complete || request.readableEnded || request.destroyed) {
    connection.arriving = undefined;
  } else if (response.writableEnded) {
    arriving.answeredAt ??= now;
    noteMovement(arriving, now);
    const isStill = now - Math.max(arriving.since, arriving.answeredAt) > restMs;
    if (isStill || now - arriving.answeredAt > bodyMs) request.destroy();
  } else {
    if (arriving.bytes !== undefined) noteMovement(arriving, now);
    if (now - arriving.since > bodyMs) {
      answerBrokenRequest(lateRequest(), socket);
      request.destroy();
    }
  }
}

/** Bytes that have arrived but are unread wait for us, not for the client. */
function noteMovement(arriving: ArrivingBody, now: number): void {
  const { request } = arriving;
  const { bytesRead } = request.socket;
  if (bytesRead === arriving.bytes && request.readableLength === 0) return;
  arriving.bytes = bytesRead;
  arriving.since = now;
}
