import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { Problem } from '@kohort/contract';
import { type Share, Shares } from '../../concurrency/shares.ts';
import { problemAnswer } from '../problems.ts';
import type { KnownCallers } from './callers.ts';
import type { Connection, Tracker, WaitingCall } from './tracker.ts';

/** Health checks and metrics are never shed: overload is when they matter most. */
const neverShed = new Set(['/healthz', '/readyz', '/metrics']);

export interface CallLimits {
  /** Most calls in progress in this process. */
  readonly atOnce: number;
  /** Additional calls, for admins only. */
  readonly forAdmins: number;
  /** One caller may take up to this many times the number of free places. */
  readonly factor: number;
  /** Most calls in progress on one connection; further pipelined calls wait. */
  readonly perConnection: number;
  /** Most calls that wait, over all connections. */
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
 * Bounds the calls in progress: in total, per caller and per connection. A refusal must cost far less than an answer, or an
 * overloaded service would do nothing but refuse; so it is sent before any work is done for the call.
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

  /** Passes calls to `handler` in turn, or refuses them. */
  guard(handler: RequestListener): RequestListener {
    const { tracker, limits } = this.#settings;
    return (request, response) => {
      const connection = tracker.connections.get(request.socket);
      if (connection) connection.headersSince = undefined;
      if (!connection || connection.calls < limits.perConnection)
        this.#admit({ request, response }, handler, connection);
      else this.#wait({ request, response }, connection);
    };
  }

  #admit({ request, response }: WaitingCall, handler: RequestListener, connection: Connection | undefined): void {
    const isShed = !neverShed.has(request.url ?? '');
    const share = isShed ? this.#take(request) : undefined;
    this.#settings.tracker.begin(connection, response, () => {
      share?.of.release(share);
      if (connection?.waiting?.length) this.#resume(connection, handler);
    });
    if (isShed && !share) this.#refuse(request, response);
    else handler(request, response);
  }

  /** Undefined when there is no place. */
  #take(request: IncomingMessage): Share | undefined {
    const { callers, addressOf } = this.#settings;
    const { party, isAdmin } = callers.payerOf(request, addressOf);
    return this.#shares.take(party) ?? (isAdmin ? this.#sharesOfAdmins.take(party) : undefined);
  }

  /** Node has already parsed these calls from one read, so they wait here; the connection is paused meanwhile. */
  #wait(call: WaitingCall, connection: Connection): void {
    const { socket } = connection;
    if (this.#waiting >= this.#settings.limits.waiting) return void socket.destroy();
    this.#waiting++;
    if (!connection.waiting) {
      connection.waiting = [];
      // Node resumes reading by itself after each request.
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
    if (connection.waiting?.length) return;
    connection.readSince = performance.now();
    connection.socket.resume();
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
