import type { ServerResponse } from 'node:http';
import { Server } from 'node:net';
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';
import type { Traffic } from './tracker.ts';

// A kept connection may be used once more; what is half said when the stop comes may still be said.
const KEPT_FOR = 500;
const HALF_SAID_FOR = 1_000;
const LOOK_EVERY = 20;

function sayLast(response: ServerResponse | undefined): void {
  if (response && !response.headersSent) response.setHeader('connection', 'close');
}

/**
 * While the server closes, new connections are refused, calls that have arrived are finished, and each connection ends with
 * its next answer, which says so. Node would end kept connections at once, and cut off the call that is on its way on one.
 */
export function drainGracefully(app: FastifyInstance, { connections, accepted }: Traffic): void {
  /** Those who have connected and wait to be let in would be reset; a turn of the event loop lets one of them in. */
  async function letIn(): Promise<void> {
    const began = performance.now();
    for (let before = -1; before !== accepted() && performance.now() - began < HALF_SAID_FOR; ) {
      before = accepted();
      await turn();
      await turn();
    }
  }

  app.addHook('preClose', async () => {
    // Before the listener that answers: an answer that is sent at once says it too.
    app.server.prependListener('request', (_request, response) => sayLast(response));
    if (!app.server.listening) return;
    await letIn();
    // The socket's own way to close: that of node:http would end kept connections too.
    Server.prototype.close.call(app.server);
    for (const { calls, last } of connections.values()) if (calls > 0) sayLast(last);
    const began = performance.now();
    while (connections.size > 0) {
      await sleep(LOOK_EVERY);
      // Right after a turn has read what has come in, however busy this process is.
      await turn();
      for (const [socket, { calls, quietSince, bytes }] of connections) {
        const time = socket.bytesRead === bytes ? KEPT_FOR : HALF_SAID_FOR;
        if (calls === 0 && performance.now() - Math.max(began, quietSince) > time) socket.destroy();
      }
    }
  });
}
