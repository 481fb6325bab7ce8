import type { ServerResponse } from 'node:http';
import { Server, type Socket } from 'node:net';
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';

// A kept connection may be used once more; what is half said when the stop comes may still be said.
const KEPT_FOR = 500;
const HALF_SAID_FOR = 1_000;
const LOOK_EVERY = 20;

interface Connection {
  readonly calls: Set<ServerResponse>;
  /** When the last call on it was over, and what had come in by then. */
  quietSince: number;
  bytes: number | undefined;
}

/**
 * While the server closes, new connections are refused, calls that have arrived are finished, and each connection ends with
 * its next answer, which says so. Node would end kept connections at once, and cut off the call that is on its way on one.
 */
export function drainGracefully(app: FastifyInstance): void {
  const connections = new Map<Socket, Connection>();
  let closing = false;
  let accepted = 0;

  function sayLast(response: ServerResponse): void {
    if (!response.headersSent) response.setHeader('connection', 'close');
  }

  app.server.on('connection', (socket) => {
    accepted++;
    connections.set(socket, { calls: new Set(), quietSince: 0, bytes: undefined });
    socket.once('close', () => connections.delete(socket));
  });
  app.server.on('request', ({ socket }, response) => {
    const connection = connections.get(socket);
    if (!connection) return;
    connection.calls.add(response);
    if (closing) sayLast(response);
    response.once('close', () => {
      connection.calls.delete(response);
      connection.quietSince = performance.now();
      connection.bytes = socket.bytesRead;
    });
  });

  /** Those who have connected and wait to be let in would be reset; a turn of the event loop lets one of them in. */
  async function letIn(): Promise<void> {
    const began = performance.now();
    for (let before = -1; before !== accepted && performance.now() - began < HALF_SAID_FOR; ) {
      before = accepted;
      await turn();
      await turn();
    }
  }

  app.addHook('preClose', async () => {
    closing = true;
    if (!app.server.listening) return;
    await letIn();
    // The socket's own way to close: that of node:http would end kept connections too.
    Server.prototype.close.call(app.server);
    for (const { calls } of connections.values()) {
      const last = [...calls].at(-1);
      if (last) sayLast(last);
    }
    const began = performance.now();
    while (connections.size > 0) {
      await sleep(LOOK_EVERY);
      // Right after a turn has read what has come in, however busy this process is.
      await turn();
      for (const [socket, { calls, quietSince, bytes }] of connections) {
        const time = socket.bytesRead === bytes ? KEPT_FOR : HALF_SAID_FOR;
        if (calls.size === 0 && performance.now() - Math.max(began, quietSince) > time) socket.destroy();
      }
    }
  });
}
