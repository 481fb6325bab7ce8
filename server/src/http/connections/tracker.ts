import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

export interface Connection {
  /** Calls under way on it. */
  calls: number;
  /** The answer to the newest of them. */
  last: ServerResponse | undefined;
  /** When the last call on it was over, and what had come in by then. */
  quietSince: number;
  bytes: number | undefined;
}

/** The calls under way, in all and on each connection. */
export interface Traffic {
  readonly underWay: () => number;
  readonly connections: ReadonlyMap<Socket, Connection>;
  /** Connections accepted so far. */
  readonly accepted: () => number;
  /** Keeps count of the connections of `server`; to be called before it listens. */
  follow(server: Server): void;
  /** A call has come in, and is under way until its answer was sent or its connection is gone. */
  begin(request: IncomingMessage, response: ServerResponse): void;
}

/** Counts for everyone who has to know, so that each call on the fast path pays for one listener. */
export function createTraffic(): Traffic {
  const connections = new Map<Socket, Connection>();
  let underWay = 0;
  let accepted = 0;

  // One function for all calls, which finds what it needs from the response: no closure apiece.
  function end(this: ServerResponse): void {
    underWay--;
    const { socket } = this.req;
    const connection = connections.get(socket);
    if (!connection) return;
    connection.calls--;
    connection.quietSince = performance.now();
    connection.bytes = socket.bytesRead;
  }

  return {
    underWay: () => underWay,
    connections,
    accepted: () => accepted,
    follow(server) {
      server.on('connection', (socket: Socket) => {
        accepted++;
        connections.set(socket, { calls: 0, last: undefined, quietSince: 0, bytes: undefined });
        socket.once('close', () => connections.delete(socket));
      });
    },
    begin({ socket }, response) {
      underWay++;
      const connection = connections.get(socket);
      if (connection) {
        connection.calls++;
        connection.last = response;
      }
      response.on('close', end);
    },
  };
}
