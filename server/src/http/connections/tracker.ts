import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { performance } from 'node:perf_hooks';

/** The body that is coming in on a connection; HTTP/1.1 sends one after the other. */
export interface ArrivingBody {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** When its time began: it arrived, or, for an upload, it last moved. */
  since: number;
  /** Of an upload, and of what was answered already: the bytes that its connection has brought so far. */
  bytes: number | undefined;
  /** When it was first seen that the answer was sent before all of the body had come in. */
  answeredAt: number | undefined;
}

export interface WaitingCall {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

export interface Connection {
  readonly socket: Socket;
  /** Calls under way on it. */
  calls: number;
  /** Calls that were pipelined beyond what may be under way on it, in the order they came. */
  waiting: WaitingCall[] | undefined;
  /** The answer to the newest of them. */
  last: ServerResponse | undefined;
  /** When the last call on it ended, and how many bytes had come in by then. */
  quietSince: number;
  quietBytes: number | undefined;
  arriving: ArrivingBody | undefined;
  /** Bytes that wait for the client to read them, and since when it has read none. */
  unread: number;
  unreadSince: number;
}

/** Looks after one connection. */
export type Sweep = (connection: Connection, now: number) => void;

/** The connections, with the calls under way on each, and the one sweeper that looks after them. */
export class Tracker {
  readonly connections = new Map<Socket, Connection>();
  readonly #sweeps: Sweep[] = [];
  #sweeper: NodeJS.Timeout | undefined;
  #accepted = 0;
  #underWay = 0;

  /** Connections accepted so far. */
  get accepted(): number {
    return this.#accepted;
  }

  /** Calls under way on all of them. */
  get underWay(): number {
    return this.#underWay;
  }

  onSweep(sweep: Sweep): void {
    this.#sweeps.push(sweep);
  }

  /** Sweeps this often from now on. */
  sweepEvery(milliseconds: number): void {
    clearInterval(this.#sweeper);
    this.#sweeper = setInterval(() => {
      const now = performance.now();
      for (const connection of this.connections.values()) for (const sweep of this.#sweeps) sweep(connection, now);
    }, milliseconds);
    this.#sweeper.unref();
  }

  stop(): void {
    clearInterval(this.#sweeper);
  }

  /** Tracks the connections of `server`; to be called before it listens. */
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
        unread: 0,
        unreadSince: 0,
      });
      socket.once('close', () => this.connections.delete(socket));
    });
  }

  /** A call is under way until its answer was sent or its connection is gone; then `ended` is called. */
  begin({ socket }: IncomingMessage, response: ServerResponse, ended?: () => void): void {
    this.#underWay++;
    const connection = this.connections.get(socket);
    if (connection) {
      connection.calls++;
      connection.last = response;
    }
    response.on('close', () => {
      this.#underWay--;
      if (connection) {
        connection.calls--;
        connection.quietSince = performance.now();
        connection.quietBytes = socket.bytesRead;
      }
      ended?.();
    });
  }
}
