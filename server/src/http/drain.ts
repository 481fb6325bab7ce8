import type { Socket } from 'node:net';
import type { FastifyInstance } from 'fastify';

// What is half said when the stop comes may still be said.
const GRACE = 1_000;

/**
 * While the server closes, calls that have arrived are finished and their connections end with them. Node ends idle connections
 * by itself, but would wait for one that was in use just now, or that never sends a whole header.
 */
export function drainGracefully(app: FastifyInstance): void {
  const callsOf = new Map<Socket, number>();
  let closing = false;

  app.server.on('connection', (socket) => {
    callsOf.set(socket, 0);
    socket.once('close', () => callsOf.delete(socket));
  });
  app.server.on('request', ({ socket }, response) => {
    callsOf.set(socket, (callsOf.get(socket) ?? 0) + 1);
    response.once('close', () => {
      const before = callsOf.get(socket);
      if (before === undefined) return;
      callsOf.set(socket, before - 1);
      // The answer may have begun before we knew that it would be the last one.
      if (closing && before === 1) socket.end();
    });
  });
  app.addHook('onSend', (_request, reply, _payload, done) => {
    if (closing) reply.header('connection', 'close');
    done();
  });
  app.addHook('preClose', async () => {
    closing = true;
    setTimeout(() => {
      for (const [socket, calls] of callsOf) if (calls === 0) socket.destroy();
    }, GRACE).unref();
  });
}
