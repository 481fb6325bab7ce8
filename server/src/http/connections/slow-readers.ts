import type { Socket } from 'node:net';
import { performance } from 'node:perf_hooks';
import type { FastifyInstance } from 'fastify';

const LOOK_EVERY = 1_000;

interface Departing {
  bytes: number;
  since: number;
}

/**
 * Ends connections whose client has not taken a byte of what waits for it for `within` milliseconds. A client that does not
 * read would otherwise keep what its answer is drawn from, a connection to the database for instance, for as long as it likes.
 */
export function boundDepartures(app: FastifyInstance, within: number): void {
  const sockets = new Map<Socket, Departing>();
  app.server.on('connection', (socket) => {
    sockets.set(socket, { bytes: 0, since: 0 });
    socket.once('close', () => sockets.delete(socket));
  });
  const timer = setInterval(() => {
    const now = performance.now();
    for (const [socket, state] of sockets) {
      const { writableLength } = socket;
      if (writableLength === 0 || writableLength !== state.bytes) {
        state.bytes = writableLength;
        state.since = now;
      } else if (now - state.since > within) {
        socket.destroy();
      }
    }
  }, LOOK_EVERY);
  timer.unref();
  app.addHook('onClose', async () => clearInterval(timer));
}
