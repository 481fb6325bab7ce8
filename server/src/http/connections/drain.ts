import type { ServerResponse } from 'node:http';
import { Server } from 'node:net';
import type { FastifyInstance } from 'fastify';
import { acceptWaiting } from './accept-waiting.ts';
import type { Connection, Tracker } from './tracker.ts';

// A kept-alive connection may be used once more, and a request that has begun to arrive may arrive completely.
const keptForMs = 500;
const halfSentForMs = 1_000;
const sweepEveryMs = 20;

function announceEnd(response: ServerResponse | undefined): void {
  if (response && !response.headersSent) response.setHeader('connection', 'close');
}

/**
 * While the server closes, it refuses new connections, finishes the calls that have arrived, and ends each connection with its
 * next answer, which carries `connection: close`. Node would close kept-alive connections at once and cut off arriving calls.
 */
export function drainGracefully(app: FastifyInstance, tracker: Tracker): void {
  app.addHook('preClose', async () => {
    // Added before the listener that answers, so that immediate answers carry the header too.
    app.server.prependListener('request', (_request, response) => announceEnd(response));
    if (!app.server.listening) return;
    await acceptWaiting(tracker);
    // net.Server's close: that of node:http would end kept-alive connections too.
    Server.prototype.close.call(app.server);
    for (const { calls, last } of tracker.connections.values()) if (calls > 0) announceEnd(last);
    await endConnections(tracker);
  });
}

/** Resolves when the last connection has ended. */
async function endConnections(tracker: Tracker): Promise<void> {
  const began = performance.now();
  const isQuiet = ({ calls, quietSince, quietBytes, socket }: Connection) => {
    const graceMs = socket.bytesRead === quietBytes ? keptForMs : halfSentForMs;
    return calls === 0 && performance.now() - Math.max(began, quietSince) > graceMs;
  };
  tracker.onSweep((connection) => {
    // However busy the process is, one turn first reads what has arrived.
    if (isQuiet(connection)) setImmediate(() => isQuiet(connection) && connection.socket.destroy());
  });
  tracker.sweepEvery(sweepEveryMs);
  const all = [...tracker.connections.keys()].map(
    (socket) => new Promise<void>((resolve) => (socket.closed ? resolve() : socket.once('close', () => resolve()))),
  );
  await Promise.all(all);
}
