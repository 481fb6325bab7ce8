import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { performance } from 'node:perf_hooks';

/** The body arriving on a connection; in HTTP/1.1 there is one at a time. */
export interface ArrivingBody {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** When its time started: when the request arrived or, for an upload, when bytes last arrived. */
  since: number;
  /** For an upload or an answered request: the bytes its connection has received so far. */
  bytes: number | undefined;
  /** When the sweeper first saw that the answer was sent before the whole body had arrived. */
  answeredAt: number | undefined;
}

export interface WaitingCall {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

export interface Connection {
  readonly socket: Socket;
  /** Calls in progress on it. */
  calls: number;
  /** Pipelined calls beyond the limit, in order of arrival. */
  waiting: WaitingCall[] | undefined;
  /** The answer to the newest of them. */
  last: ServerResponse | undefined;
  /** When the last call on it ended, and how many bytes had arrived by then. */
  quietSince: number;
  quietBytes: number | undefined;
  arriving: ArrivingBody | undefined;
  /** When we went on reading it after calls had waited. */
  readSince: number;
  /** Of headers that node took for late while we did not read them: since when their time runs. */
  headersSince: number | undefined;
  /** Bytes that the client has not read yet, and since when it has read none. */
  unread: number;
  unreadSince: number;
}

/** How many connections one turn of the event loop may end: each takes up to 100 µs. */
export const connectionsPerTurn = 100;

/** Checks one connection. */
export type Sweep = (connection: Connection, now: number) => void;

/** The registry of connections with the calls in progress on each, and the one sweeper over them. */
export class Tracker {
  readonly connections = new Map<Socket, Connection>();
  readonly #sweeps: Sweep[] = [];
  #sweeper: NodeJS.Timeout | undefined;
  #isSweeping = false;
  #accepted = 0;
  #underWay = 0;

  /** Connections accepted so far. */
  get accepted(): number {
    return this.#accepted;
  }

  /** Calls in progress on all connections. */
  get underWay(): number {
    return this.#underWay;
  }

  onSweep(sweep: Sweep): void {
    this.#sweeps.push(sweep);
  }

  /** Starts sweeping at this interval. */
  sweepEvery(milliseconds: number): void {
    clearInterval(this.#sweeper);
    this.#sweeper = setInterval(() => this.#sweep(), milliseconds);
    this.#sweeper.unref();
  }

  /** In portions: a crowd that came together has to be ended together. */
  #sweep(): void {
    if (this.#isSweeping) return;
    this.#isSweeping = true;
    const connections = this.connections.values();
    const sweepSome = () => {
      const now = performance.now();
      for (let i = 0; i < connectionsPerTurn; i++) {
        const { done, value: connection } = connections.next();
        if (done) {
          this.#isSweeping = false;
          return;
        }
        for (const sweep of this.#sweeps) sweep(connection, now);
      }
      setImmediate(sweepSome);
    };
    sweepSome();
  }

  stop(): void {
    clearInterval(this.#sweeper);
  }

  /** Tracks the connections of `server`; call it before the server listens. */
  follow(server: Server): void {
    server.on('connection', (socket: Socket) => {
      this.#accepted++;
      this.connections.set(socket, {
        socket,
        calls: 0,
        waiting: undefined,
        last: undefined,
        quietSince: 0,
        quietBytes: undefined,
        arriving: undefined,
        readSince: Number.NEGATIVE_INFINITY,
        headersSince: undefined,
        unread: 0,
        unreadSince: 0,
      });
      socket.once('close', () => this.connections.delete(socket));
    });
  }

  /** Registers a call. `ended` is called once its answer was sent or its connection is gone. */
  begin(connection: Connection | undefined, response: ServerResponse, ended: () => void): void {
    this.#underWay++;
    if (connection) {
      connection.calls++;
      connection.last = response;
    }
    response.on('close', () => {
      this.#underWay--;
      if (connection) {
        connection.calls--;
        connection.quietSince = performance.now();
        connection.quietBytes = connection.socket.bytesRead;
      }
      ended();
    });
  }
}
