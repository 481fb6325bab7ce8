import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerOptions,
  type ServerResponse,
} from 'node:http';
import { performance } from 'node:perf_hooks';
import { isHost } from './host.ts';

export interface FastCall {
  readonly method: 'GET' | 'POST';
  /** Matches the whole of the request target. */
  readonly pattern: RegExp;
  /**
   * A promise of the body, JSON of ASCII alone; undefined when the call is not to be taken here after all. What it rejects
   * with is answered by the framework. `body`: what came with a `POST`, each byte a character.
   */
  readonly answer: (path: RegExpExecArray, request: IncomingMessage, body: string) => Promise<string> | undefined;
  /** Told about each answer, in seconds. */
  readonly observe: (seconds: number) => void;
}

export interface FastPath {
  readonly serverFactory: (handler: RequestListener) => Server;
  /** Answers such calls from now on. */
  open(call: FastCall): void;
  /** What a call came to that failed here and was handed over: the framework is to answer it, not to try it again. */
  failureOf(request: IncomingMessage): FastPathFailure | undefined;
}

export interface FastPathFailure {
  readonly error: Error;
  /** When the call began, by `performance.now()`. */
  readonly started: number;
}

const JSON_TYPE = /^application\/json(?:; ?charset=utf-8)?$/i;
/** Bytes: up to three digits, not zero. */
const SMALL = /^[1-9][0-9]{0,2}$/;

interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly handler: RequestListener;
}

/** Whether a request could be one of ours, as far as its headers show. */
function isPlain({ method, headers }: IncomingMessage): boolean {
  if (!isHost(headers.host) || headers['transfer-encoding'] !== undefined) return false;
  // A page in a browser, which is looked at more closely.
  if (headers.origin !== undefined || headers['sec-fetch-site'] !== undefined || headers.cookie !== undefined)
    return false;
  // A body has its time to arrive, which the framework watches.
  if (method === 'GET') return headers['content-length'] === undefined;
  return (
    SMALL.test(headers['content-length'] ?? '') &&
    JSON_TYPE.test(headers['content-type'] ?? '') &&
    headers['content-encoding'] === undefined &&
    headers.expect === undefined
  );
}

/** The body, if all of it came with the head; what is not taken here must be put back. */
function readAtOnce(request: IncomingMessage): Buffer | undefined {
  const chunk: unknown = request.read();
  if (!Buffer.isBuffer(chunk)) return undefined;
  if (String(chunk.length) === request.headers['content-length']) return chunk;
  request.unshift(chunk);
  return undefined;
}

function send(response: ServerResponse, requestId: string, body: string): void {
  // A flat list of headers, and latin1 for a text of ASCII, save node much of its work.
  response.writeHead(200, [
    'content-type',
    'application/json; charset=utf-8',
    'x-request-id',
    requestId,
    'content-length',
    String(body.length),
  ]);
  response.end(body, 'latin1');
}

/**
 * The calls that other services wait for, without the framework: about half of the time of a request goes into routing,
 * hooks and reply objects that they do not need. It takes only what succeeds in the plainest way; everything else, and
 * whatever fails, is answered by the framework as if there were no fast path, so that there is one place for refusals.
 */
export function createFastPath(
  options: ServerOptions,
  requestIdOf: (request: IncomingMessage) => string,
  guard: (handler: RequestListener) => RequestListener,
): FastPath {
  const calls = new Map<string, FastCall[]>();
  const failures = new WeakMap<IncomingMessage, FastPathFailure>();

  /** Returns false when the framework has to answer the call. */
  function take(request: IncomingMessage, response: ServerResponse, handler: RequestListener): boolean {
    const { method = '', url = '' } = request;
    for (const call of calls.get(method) ?? []) {
      const path = call.pattern.exec(url);
      if (path) return answer(call, path, { request, response, handler });
    }
    return false;
  }

  function answer(call: FastCall, path: RegExpExecArray, { request, response, handler }: Exchange): boolean {
    const started = performance.now();
    const body = call.method === 'POST' ? readAtOnce(request) : undefined;
    if (call.method === 'POST' && !body) return false;
    const text = call.answer(path, request, body?.toString('latin1') ?? '');
    if (!text) {
      if (body) request.unshift(body);
      return false;
    }
    text.then(
      (json) => {
        send(response, requestIdOf(request), json);
        call.observe((performance.now() - started) / 1000);
      },
      (error: unknown) => {
        failures.set(request, { error: error instanceof Error ? error : new Error(String(error)), started });
        handler(request, response);
      },
    );
    return true;
  }

  function route(request: IncomingMessage, response: ServerResponse, handler: RequestListener): void {
    if (!calls.has(request.method ?? '') || !isPlain(request)) {
      handler(request, response);
    } else if (request.method === 'GET') {
      if (!take(request, response, handler)) handler(request, response);
    } else {
      // What came in one piece with the head has been parsed by then.
      process.nextTick(() => {
        if (!take(request, response, handler)) handler(request, response);
      });
    }
  }

  return {
    serverFactory: (handler) =>
      createServer(
        options,
        guard((request, response) => route(request, response, handler)),
      ),
    open: (call) => void calls.set(call.method, [...(calls.get(call.method) ?? []), call]),
    failureOf: (request) => failures.get(request),
  };
}
