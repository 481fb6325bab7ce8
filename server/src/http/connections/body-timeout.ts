import type { IncomingMessage, ServerResponse } from 'node:http';
import { performance } from 'node:perf_hooks';
import type { FastifyInstance } from 'fastify';
import { answerBrokenRequest } from '../problems.ts';

const LOOK_EVERY = 1_000;

/** Milliseconds that the rest of a body may stand still once its answer was sent. */
const STILL_FOR = 5_000;

interface Arriving {
  readonly response: ServerResponse;
  /** When its time began: it arrived, or, for an upload, it last moved. */
  since: number;
  /** Of an upload, and of what is answered: the bytes that its connection has brought so far. */
  bytes: number | undefined;
  /** When we saw that it was answered before all of it had come in. */
  answeredAt: number | undefined;
}

/**
 * How long the body of a request may take to arrive: `within` milliseconds in all, or, for an upload, any time as long as it
 * does not stand still for that long. Node's own `requestTimeout` knows only the former, for all requests alike.
 *
 * A request that is refused before its body was read: node reads on and drops it, since many clients look for the answer
 * only when they have sent everything, and would find a broken connection instead. That too has its time.
 */
export function boundArrivals(app: FastifyInstance, within: number): void {
  const arriving = new Map<IncomingMessage, Arriving>();

  function look(): void {
    const now = performance.now();
    for (const [request, state] of arriving) {
      const { socket } = request;
      if (request.complete || request.readableEnded || request.destroyed || socket.destroyed) {
        arriving.delete(request);
        continue;
      }
      if (state.response.writableEnded) {
        state.answeredAt ??= now;
        state.bytes ??= socket.bytesRead;
        if (socket.bytesRead !== state.bytes) {
          state.bytes = socket.bytesRead;
          state.since = now;
        }
        const isStill = now - Math.max(state.since, state.answeredAt) > STILL_FOR;
        if (isStill || now - state.answeredAt > within) {
          arriving.delete(request);
          request.destroy();
        }
        continue;
      }
      // What has come and lies there waits for us, not for the client.
      if (state.bytes !== undefined && (socket.bytesRead !== state.bytes || request.readableLength > 0)) {
        state.bytes = socket.bytesRead;
        state.since = now;
      }
      if (now - state.since > within) {
        arriving.delete(request);
        answerBrokenRequest(Object.assign(new Error('too slow'), { code: 'ERR_HTTP_REQUEST_TIMEOUT' }), socket);
        request.destroy();
      }
    }
  }

  const timer = setInterval(look, LOOK_EVERY);
  timer.unref();
  app.addHook('onClose', async () => clearInterval(timer));

  app.addHook('onRequest', ({ raw }, { raw: response }, done) => {
    if (
      !raw.complete &&
      (raw.headers['content-length'] !== undefined || raw.headers['transfer-encoding'] !== undefined)
    ) {
      arriving.set(raw, { response, since: performance.now(), bytes: undefined, answeredAt: undefined });
    }
    done();
  });
  // The body was read: nearly every request leaves here, within the same moment.
  app.addHook('preValidation', (request, _reply, done) => {
    if (request.raw.complete || request.raw.readableEnded) arriving.delete(request.raw);
    done();
  });
  app.decorate('letTakeItsTime', (request) => {
    const state = arriving.get(request);
    if (state) state.bytes = request.socket.bytesRead;
  });
}
