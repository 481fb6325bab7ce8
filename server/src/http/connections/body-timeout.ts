import { performance } from 'node:perf_hooks';
import type { FastifyInstance } from 'fastify';
import { answerBrokenRequest } from '../problems.ts';
import type { ArrivingBody, Connection, Tracker } from './tracker.ts';

export interface BodyTimeouts {
  /** Milliseconds a body may take in all; an upload may take longer as long as it does not stand still for that long. */
  readonly bodyMs: number;
  /** Milliseconds that the rest of a body may stand still once its answer was sent. */
  readonly restMs: number;
}

/**
 * How long the body of a request may take to arrive. Node's own `requestTimeout` knows no uploads.
 *
 * When a request is refused before its body was read, node reads on and drops it, since many clients look for the answer only
 * when they have sent everything, and would find a broken connection instead. That has a bound, too.
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
      answerBrokenRequest(Object.assign(new Error('too slow'), { code: 'ERR_HTTP_REQUEST_TIMEOUT' }), socket);
      request.destroy();
    }
  }
}

/** What has come and lies there waits for us, not for the client. */
function noteMovement(arriving: ArrivingBody, now: number): void {
  const { request } = arriving;
  const { bytesRead } = request.socket;
  if (bytesRead === arriving.bytes && request.readableLength === 0) return;
  arriving.bytes = bytesRead;
  arriving.since = now;
}
