import { DeadlineExceeded, errorOf, Unreachable } from './errors.ts';
import { withRetries } from './retry.ts';
import { beginSpan, type CallSpan, tracingIsLoaded } from './tracing.ts';

export interface ConnectionOptions {
  /** The address of the service: `https://kohort.example.com`, with a path prefix if it has one. */
  readonly url: string;
  /** A session token or an API key. */
  readonly token?: string | undefined;
  /** How often a call is retried after a transient failure. Default 3. */
  readonly retries?: number | undefined;
  /** Milliseconds that a call may take, including retries; files and streams have no such limit. Default 10,000. */
  readonly timeoutMs?: number | undefined;
  readonly fetch?: typeof fetch | undefined;
  /** Returns a number from 0 up to 1, which randomizes pauses. */
  readonly random?: (() => number) | undefined;
}

/** Options of every call, besides its own parts. */
export interface CallOptions {
  readonly signal?: AbortSignal | undefined;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** In place of the client's. */
  readonly timeoutMs?: number | undefined;
}

/** What a streamed body may be. */
export type UploadBody = AsyncIterable<Uint8Array> | ReadableStream<Uint8Array> | Uint8Array | string;

/** What the client has to know of a call. */
export interface CallShape {
  readonly id: string;
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  readonly path: string;
  readonly answers: 'json' | 'nothing' | 'stream';
  /** A second try can do no harm. */
  readonly repeatable?: true;
  /** Takes an Idempotency-Key, which makes a second try harmless. */
  readonly creates?: true;
  /** The field of a page that has the entries. */
  readonly entries?: string;
}

/** A list: one page by calling it, or all of it. */
export interface Paged<Arguments extends unknown[], Page, Entries extends keyof Page> {
  (...input: Arguments): Promise<Page>;
  /** Iterates over all entries, and reads pages as they are needed. */
  all(...input: Arguments): AsyncGenerator<Page[Entries] extends (infer Entry)[] ? Entry : never, void, undefined>;
  pages(...input: Arguments): AsyncGenerator<Page, void, undefined>;
}

type RequestBody = NonNullable<RequestInit['body']>;

export interface CallInput extends CallOptions {
  readonly params?: Readonly<Record<string, unknown>>;
  readonly query?: Readonly<Record<string, unknown>>;
  readonly body?: unknown;
  readonly upload?: UploadBody;
  readonly type?: string;
}

/** Makes one call and returns its JSON, its stream, or nothing. */
export type Call = (shape: CallShape, input?: CallInput) => Promise<unknown>;

const DEFAULT_RETRIES = 3;
const DEFAULT_TIMEOUT_MS = 10_000;

function addressOf(base: string, { id, path }: CallShape, { params = {}, query = {} }: CallInput): string {
  const filled = path.replaceAll(/\{(\w+)\}/g, (_, name: string) => {
    const value = params[name];
    if (value === undefined) throw new TypeError(`${id} needs the parameter ${name}`);
    return encodeURIComponent(String(value));
  });
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) if (value !== undefined) search.set(name, String(value));
  return `${base.replace(/\/+$/, '')}${filled}${search.size > 0 ? `?${search}` : ''}`;
}

/** Not `randomUUID`, which browsers keep from pages without TLS. */
function drawKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** The same upload, and the error of its source, if any: `fetch` then fails although the service is fine. */
function watched(upload: UploadBody): { readonly body: RequestBody; readonly failure: () => unknown } {
  let failure: unknown;
  if (typeof upload === 'string' || upload instanceof Uint8Array) {
    return { body: upload as RequestBody, failure: () => failure };
  }
  const chunks = (upload instanceof ReadableStream ? chunksOf(upload) : upload)[Symbol.asyncIterator]();
  const body = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const { done, value } = await chunks.next();
          if (done) controller.close();
          else controller.enqueue(value);
        } catch (error) {
          failure = error;
          controller.error(error);
        }
      },
      async cancel() {
        await chunks.return?.();
      },
    },
    { highWaterMark: 0 },
  );
  return { body, failure: () => failure };
}

/** Uses the reader, since not every browser can iterate over a stream. */
export async function* chunksOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
  const reader = stream.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}

/** Aborts with the signal or when the time is up; `isLate` says whether it was the time. */
function bounded(signal: AbortSignal | undefined, deadline: number) {
  const controller = new AbortController();
  let isLate = false;
  const stop = () => controller.abort(signal?.reason);
  if (signal?.aborted) stop();
  signal?.addEventListener('abort', stop, { once: true });
  const timer = Number.isFinite(deadline)
    ? setTimeout(
        () => {
          isLate = true;
          controller.abort();
        },
        Math.max(0, deadline - performance.now()),
      )
    : undefined;
  return {
    signal: controller.signal,
    isLate: () => isLate,
    release() {
      clearTimeout(timer);
      signal?.removeEventListener('abort', stop);
    },
    stopWaiting: () => clearTimeout(timer),
  };
}

function headersOf(shape: CallShape, input: CallInput, token: string | undefined): Headers {
  const headers = new Headers(input.headers);
  if (token !== undefined) headers.set('authorization', `Bearer ${token}`);
  if (input.upload !== undefined) headers.set('content-type', input.type ?? 'application/octet-stream');
  else if (input.body !== undefined) headers.set('content-type', 'application/json');
  if (shape.creates && !headers.has('idempotency-key')) headers.set('idempotency-key', drawKey());
  return headers;
}

export function createCall(options: ConnectionOptions): Call {
  const { url, token, retries = DEFAULT_RETRIES, timeoutMs = DEFAULT_TIMEOUT_MS, random = Math.random } = options;
  const send: typeof fetch = options.fetch ?? ((...request) => fetch(...request));
  const base = new URL(url).href;

  async function once(shape: CallShape, input: CallInput, headers: Headers, deadline: number, span: CallSpan) {
    const address = addressOf(base, shape, input);
    const source = input.upload === undefined ? undefined : watched(input.upload);
    const body = source ? source.body : input.body === undefined ? undefined : JSON.stringify(input.body);
    const bounds = bounded(input.signal, deadline);
    try {
      const response = await send(address, {
        method: shape.method,
        headers,
        signal: bounds.signal,
        // `half`: the body is sent before the answer is read; streamed bodies support nothing else.
        ...(body !== undefined && { body, duplex: 'half' }),
      });
      span.answered(response.status);
      if (!response.ok) throw await errorOf(response);
      if (shape.answers === 'stream') return response.body;
      return shape.answers === 'nothing' ? undefined : await response.json();
    } catch (error) {
      const failure = source?.failure();
      if (failure !== undefined) throw failure;
      if (error instanceof Error && error.name === 'KohortError') throw error;
      if (input.signal?.aborted) throw input.signal.reason;
      if (bounds.isLate()) throw new DeadlineExceeded(`Kohort at ${url} did not answer in time.`);
      throw new Unreachable(`Kohort cannot be reached at ${url}.`, { cause: error });
    } finally {
      // The signal of the caller still applies while a stream is being read.
      if (shape.answers === 'stream') bounds.stopWaiting();
      else bounds.release();
    }
  }

  return async function call(shape, input = {}) {
    await tracingIsLoaded;
    const isUnbounded = input.upload !== undefined || shape.answers === 'stream';
    const limitMs = input.timeoutMs ?? (isUnbounded ? Number.POSITIVE_INFINITY : timeoutMs);
    const deadline = performance.now() + limitMs;
    const isStream =
      input.upload !== undefined && typeof input.upload !== 'string' && !(input.upload instanceof Uint8Array);
    const span = beginSpan(shape, base);
    const headers = headersOf(shape, input, token);
    span.inject(headers);
    try {
      const answer = await withRetries(() => once(shape, input, headers, deadline, span), {
        // A stream that has been read cannot be sent again.
        retries: isStream ? 0 : retries,
        isRepeatable: shape.repeatable === true || shape.creates === true,
        signal: input.signal,
        deadline,
        random,
      });
      span.end();
      return answer;
    } catch (error) {
      span.end(error);
      throw error;
    }
  };
}
