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
import { isCounted, takeUnsent } from './unsent.ts';

export interface FastCall {
  readonly method: 'GET' | 'POST';
  /** Matches the whole of the request target. */
  readonly pattern: RegExp;
  /**
   * Returns a promise of the body, which is ASCII JSON, or undefined to leave the call to the framework. The framework also
   * answers rejections. `body` is the body of a `POST`, one character per byte.
   */
  readonly answer: (
    path: RegExpExecArray,
    request: IncomingMessage,
    body: string,
  ) => Promise<string | undefined> | undefined;
  /** What a promise of no body means. */
  readonly absent?: () => Error;
  /** Names and values of headers beside those that every answer has. */
  readonly headers?: readonly string[];
  /** Called with the duration of each answer, in seconds. */
  readonly observe: (seconds: number) => void;
}

export interface FastPathSettings {
  readonly requestIdOf: (request: IncomingMessage) => string;
  /** Whose share of the unsent answers a call takes. */
  readonly partyOf: (request: IncomingMessage) => string;
}

export interface FastPath {
  readonly serverFactory: (handler: RequestListener) => Server;
  /** Starts answering such calls. */
  open(call: FastCall): void;
  /** The failure of a call that failed here and was handed over. The framework answers with it and must not try the call again. */
  failureOf(request: IncomingMessage): FastPathFailure | undefined;
}

export interface FastPathFailure {
  readonly error: Error;
  /** When the call began, by `performance.now()`. */
  readonly started: number;
}

const JSON_TYPE = /^application\/json(?:; ?charset=utf-8)?$/i;
/** A length in bytes: one to three digits, not zero. */
const SMALL = /^[1-9][0-9]{0,2}$/;

interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly handler: RequestListener;
}

/** Whether the headers of a request allow the fast path. */
function isPlain({ method, headers }: IncomingMessage): boolean {
  if (!isHost(headers.host) || headers['transfer-encoding'] !== undefined) return false;
  // Browsers send these. Their calls need the framework's checks.
  if (headers.origin !== undefined || headers['sec-fetch-site'] !== undefined || headers.cookie !== undefined)
    return false;
  // Only the framework limits how long a body may take to arrive.
  if (method === 'GET') return headers['content-length'] === undefined;
  return (
    SMALL.test(headers['content-length'] ?? '') &&
    JSON_TYPE.test(headers['content-type'] ?? '') &&
    headers['content-encoding'] === undefined &&
    headers.expect === undefined
  );
}

/** Returns the body if all of it arrived with the head. A partial body is put back. */
function readAtOnce(request: IncomingMessage): Buffer | undefined {
  const chunk: unknown = request.read();
  if (!Buffer.isBuffer(chunk)) return undefined;
  if (String(chunk.length) === request.headers['content-length']) return chunk;
  request.unshift(chunk);
  return undefined;
}

function send(response: ServerResponse, requestId: string, body: string, headers: readonly string[]): void {
  // A flat list of headers, and latin1 for a text of ASCII, save node much of its work.
  response.writeHead(200, [
    'content-type',
    'application/json; charset=utf-8',
    'x-request-id',
    requestId,
    'content-length',
    String(body.length),
    ...headers,
  ]);
  response.end(body, 'latin1');
}

/**
 * Answers the calls that other services wait for without the framework: about half of the time of a request goes into routing,
 * hooks and reply objects that these calls do not need. Only plain successes are answered here. The framework answers all other
 * requests and all failures as if there were no fast path, so refusals are made in one place.
 */
export function createFastPath(
  options: ServerOptions,
  { requestIdOf, partyOf }: FastPathSettings,
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
    const { headers = [] } = call;
    const body = call.method === 'POST' ? readAtOnce(request) : undefined;
    if (call.method === 'POST' && !body) return false;
    const text = call.answer(path, request, body?.toString('latin1') ?? '');
    if (!text) {
      if (body) request.unshift(body);
      return false;
    }
    const fail = (error: unknown) => {
      failures.set(request, { error: error instanceof Error ? error : new Error(String(error)), started });
      for (let i = 0; i < headers.length; i += 2) response.setHeader(headers[i] ?? '', headers[i + 1] ?? '');
      handler(request, response);
    };
    text.then((json) => {
      if (json === undefined) return fail(call.absent?.());
      try {
        // What has changed something is answered in any case, and briefly.
        if (call.method === 'GET' && isCounted(json.length)) takeUnsent(response, json.length, () => partyOf(request));
      } catch (error) {
        return fail(error);
      }
      send(response, requestIdOf(request), json, headers);
      call.observe((performance.now() - started) / 1000);
    }, fail);
    return true;
  }

  function route(request: IncomingMessage, response: ServerResponse, handler: RequestListener): void {
    if (!calls.has(request.method ?? '') || !isPlain(request)) {
      handler(request, response);
    } else if (request.method === 'GET') {
      if (!take(request, response, handler)) handler(request, response);
    } else {
      // By then node has parsed a body that arrived together with the head.
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
