import type { Answer, Body, Endpoint, Params, Query } from '@kohort/contract';
import { errorOf, KohortError, Unreachable } from './errors.ts';

export interface ClientOptions {
  /** Where the service is: `https://kohort.example.com`. */
  readonly url: string;
  /** A session token or an API key. */
  readonly token?: string | undefined;
  /** How often a call that may be repeated is tried again when the service says so (503 with Retry-After). Default 3. */
  readonly retries?: number;
  readonly fetch?: typeof fetch;
}

/** What a streamed body may be. */
export type UploadBody = AsyncIterable<Uint8Array> | ReadableStream<Uint8Array> | Uint8Array | string;

type Part<Name extends string, Value> =
  Value extends Record<string, never>
    ? unknown
    : Value extends undefined
      ? unknown
      : Partial<Value> extends Value
        ? { readonly [K in Name]?: Value }
        : { readonly [K in Name]: Value };

type Uploaded<E extends Endpoint> = E extends { readonly uploads: readonly (infer Type)[] }
  ? { readonly upload: UploadBody; readonly type: Type }
  : unknown;

export interface CallSettings {
  readonly signal?: AbortSignal;
  readonly headers?: Readonly<Record<string, string>>;
}

/** What a call takes: the parts that its endpoint has, and no others. */
export type Input<E extends Endpoint> = Part<'params', Params<E>> &
  Part<'query', Query<E>> &
  Part<'body', Body<E>> &
  Uploaded<E> &
  CallSettings;

/** What a call answers: its JSON, a stream where the endpoint streams, or nothing. */
export type Output<E extends Endpoint> = E extends { readonly success: { readonly media: unknown } }
  ? ReadableStream<Uint8Array>
  : Answer<E>;

interface AnyInput extends CallSettings {
  readonly params?: Readonly<Record<string, unknown>>;
  readonly query?: Readonly<Record<string, unknown>>;
  readonly body?: unknown;
  readonly upload?: UploadBody;
  readonly type?: string;
}

const DEFAULT_RETRIES = 3;
const MAX_PAUSE = 30;

/** Repeating them changes nothing, whatever became of the first one. */
const REPEATABLE = new Set(['GET', 'PUT', 'DELETE']);

function addressOf(base: string, endpoint: Endpoint, { params = {}, query = {} }: AnyInput): string {
  const path = endpoint.path.replaceAll(/\{(\w+)\}/g, (_, name: string) => {
    const value = params[name];
    if (value === undefined) throw new TypeError(`${endpoint.id} needs the parameter ${name}`);
    return encodeURIComponent(String(value));
  });
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) if (value !== undefined) search.set(name, String(value));
  return `${base.replace(/\/+$/, '')}${path}${search.size > 0 ? `?${search}` : ''}`;
}

function requestOf(endpoint: Endpoint, input: AnyInput, token: string | undefined): RequestInit {
  const headers = new Headers(input.headers);
  if (token !== undefined) headers.set('authorization', `Bearer ${token}`);
  const init: RequestInit = { method: endpoint.method, headers, ...(input.signal && { signal: input.signal }) };
  if (input.upload !== undefined) {
    headers.set('content-type', input.type ?? 'application/octet-stream');
    // `half`: the body is sent before the answer is read, which is all that a streamed body can do.
    return Object.assign(init, { body: input.upload, duplex: 'half' });
  }
  if (input.body === undefined) return init;
  headers.set('content-type', 'application/json');
  return { ...init, body: JSON.stringify(input.body) };
}

/** The same upload, and what went wrong where it is read from: that is not the service's doing, though `fetch` fails of it. */
function watched(upload: UploadBody): { readonly upload: UploadBody; readonly failure: () => unknown } {
  let failure: unknown;
  if (typeof upload === 'string' || upload instanceof Uint8Array) return { upload, failure: () => failure };
  async function* read(source: AsyncIterable<Uint8Array>) {
    try {
      yield* source;
    } catch (error) {
      failure = error;
      throw error;
    }
  }
  return { upload: read(upload), failure: () => failure };
}

export function createCall({ url, token, retries = DEFAULT_RETRIES, fetch: send = fetch }: ClientOptions) {
  async function once(endpoint: Endpoint, input: AnyInput): Promise<Response> {
    const address = addressOf(url, endpoint, input);
    const source = input.upload === undefined ? undefined : watched(input.upload);
    let response: Response;
    try {
      response = await send(address, requestOf(endpoint, source ? { ...input, upload: source.upload } : input, token));
    } catch (error) {
      const failure = source?.failure();
      if (failure !== undefined) throw failure;
      if (input.signal?.aborted) throw error;
      throw new Unreachable(`Kohort cannot be reached at ${url}.`, { cause: error });
    }
    if (!response.ok) throw await errorOf(response);
    return response;
  }

  return async function call<const E extends Endpoint>(endpoint: E, input: Input<E>): Promise<Output<E>> {
    const given = input as AnyInput;
    for (let attempt = 0; ; attempt++) {
      try {
        const response = await once(endpoint, given);
        if (endpoint.success.media !== undefined) return response.body as Output<E>;
        return (endpoint.success.body === null ? undefined : await response.json()) as Output<E>;
      } catch (error) {
        const pause = error instanceof KohortError && error.status === 503 ? error.retryAfter : undefined;
        if (pause === undefined || attempt >= retries || !REPEATABLE.has(endpoint.method)) throw error;
        await new Promise((resolve) => setTimeout(resolve, Math.min(pause, MAX_PAUSE) * 1000));
      }
    }
  };
}
