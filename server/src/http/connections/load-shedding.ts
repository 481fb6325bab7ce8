import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { Problem } from '@kohort/contract';
import { Shares } from '../../concurrency/shares.ts';
import { problemAnswer } from '../problems.ts';
import type { KnownCallers } from './callers.ts';
import type { Connection, Tracker, WaitingCall } from './tracker.ts';

/** Health checks and metrics are never shed: overload is when they matter most. */
const neverShed = new Set(['/healthz', '/readyz', '/metrics']);

export interface CallLimits {
  /** Calls under way in this process. */
  readonly atOnce: number;
  /** More of them, for admins alone. */
  readonly forAdmins: number;
  /** One caller may have this many times what is free. */
  readonly factor: number;
  /** Calls under way on one connection; those pipelined beyond wait on it. */
  readonly perConnection: number;
  /** Calls that wait on all connections together. */
  readonly waiting: number;
}

export interface SheddingSettings {
  readonly limits: CallLimits;
  readonly tracker: Tracker;
  readonly callers: KnownCallers;
  readonly addressOf: (request: IncomingMessage) => string;
  readonly requestIdOf: (request: IncomingMessage) => string;
}

/**
 * Bounds the calls under way: in all, for each caller, and on each connection. A refusal has to cost far less than an answer,
 * or refusing would be all that an overloaded service still does; so it is sent before anything was done for the call.
 */
export class LoadShedding {
  readonly #settings: SheddingSettings;
  readonly #shares: Shares;
  readonly #sharesOfAdmins: Shares;
  #waiting = 0;
  #refused = 0;

  constructor(settings: SheddingSettings) {
    this.#settings = settings;
    const { atOnce, forAdmins, factor } = settings.limits;
    this.#shares = new Shares(atOnce, factor);
    this.#sharesOfAdmins = new Shares(forAdmins, factor);
  }

  /** Calls refused so far. */
  get refused(): number {
    return this.#refused;
  }

  /** Hands calls on to `handler` in their turn, or refuses them. */
  guard(handler: RequestListener): RequestListener {
    const { tracker, limits } = this.#settings;
    return (request, response) => {
      const connection = tracker.connections.get(request.socket);
      if (!connection || connection.calls < limits.perConnection)
        this.#admit({ request, response }, handler, connection);
      else this.#wait({ request, response }, connection);
    };
  }

  #admit({ request, response }: WaitingCall, handler: RequestListener, connection: Connection | undefined): void {
    const isShed = !neverShed.has(request.url ?? '');
    const release = isShed ? this.#take(request) : undefined;
    this.#settings.tracker.begin(request, response, () => {
      release?.();
      if (connection?.waiting?.length) this.#resume(connection, handler);
    });
    if (isShed && !release) this.#refuse(request, response);
    else handler(request, response);
  }

  /** A place, until the function it returns is called; undefined when there is none. */
  #take(request: IncomingMessage): (() => void) | undefined {
    const { callers, addressOf } = this.#settings;
    const { party, isAdmin } = callers.payerOf(request, addressOf);
    for (const shares of isAdmin ? [this.#shares, this.#sharesOfAdmins] : [this.#shares]) {
      const share = shares.take(party);
      if (share) return () => shares.release(share);
    }
    return undefined;
  }

  /** Node has parsed all that one read brought, so these calls wait here; beyond them the connection is not read. */
  #wait(call: WaitingCall, connection: Connection): void {
    const { socket } = connection;
    if (this.#waiting >= this.#settings.limits.waiting) return void socket.destroy();
    this.#waiting++;
    if (!connection.waiting) {
      connection.waiting = [];
      // Node reads on by itself after each request.
      socket.on('resume', () => void (connection.waiting?.length && socket.pause()));
      socket.once('close', () => {
        this.#waiting -= connection.waiting?.length ?? 0;
        connection.waiting = [];
      });
    }
    connection.waiting.push(call);
    socket.pause();
  }

  #resume(connection: Connection, handler: RequestListener): void {
    while (!connection.socket.destroyed && connection.calls < this.#settings.limits.perConnection) {
      const next = connection.waiting?.shift();
      if (!next) break;
      this.#waiting--;
      this.#admit(next, handler, connection);
    }
    if (!connection.waiting?.length) connection.socket.resume();
  }

  #refuse(request: IncomingMessage, response: ServerResponse): void {
    this.#refused++;
    const id = this.#settings.requestIdOf(request);
    const { type, body } = problemAnswer(overloaded, request.url ?? '', id);
    response.writeHead(overloaded.status, [
      ...overloadedHeaders,
      'content-type',
      type,
      'x-request-id',
      id,
      'content-length',
      String(Buffer.byteLength(body)),
    ]);
    response.end(body);
  }
}

const overloaded = new Problem('overloaded', 'Too many calls are under way. Try again shortly.', { retryAfter: 1 });
const overloadedHeaders = Object.entries(overloaded.headers).flat();
