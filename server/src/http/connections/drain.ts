import type { ServerResponse } from 'node:http';
import { Server } from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';
import type { Connection, Tracker } from './tracker.ts';

// A kept connection may be used once more; a request that has begun to come in when the stop comes may come in whole.
const keptForMs = 500;
const halfSentForMs = 1_000;
const sweepEveryMs = 20;

function announceEnd(response: ServerResponse | undefined): void {
  if (response && !response.headersSent) response.setHeader('connection', 'close');
}

/** Connections that wait to be accepted would be reset; a turn of the event loop accepts one of them. */
async function acceptWaiting(tracker: Tracker): Promise<void> {
  const began = performance.now();
  for (let before = -1; before !== tracker.accepted && performance.now() - began < halfSentForMs; ) {
    before = tracker.accepted;
    await turn();
    await turn();
  }
}

/**
 * While the server closes, new connections are refused, calls that have arrived are finished, and each connection ends with
 * its next answer, which says so. Node would end kept connections at once, and cut off the call that is on its way on one.
 */
export function drainGracefully(app: FastifyInstance, tracker: Tracker): void {
  app.addHook('preClose', async () => {
    // Before the listener that answers, so that an answer that is sent at once says it too.
    app.server.prependListener('request', (_request, response) => announceEnd(response));
    if (!app.server.listening) return;
    await acceptWaiting(tracker);
    // The socket's own way to close: that of node:http would end kept connections too.
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
    // However busy this process is, a turn first reads what has come in.
    if (isQuiet(connection)) setImmediate(() => isQuiet(connection) && connection.socket.destroy());
  });
  tracker.sweepEvery(sweepEveryMs);
  const all = [...tracker.connections.keys()].map(
    (socket) => new Promise<void>((resolve) => (socket.closed ? resolve() : socket.once('close', () => resolve()))),
  );
  await Promise.all(all);
}
