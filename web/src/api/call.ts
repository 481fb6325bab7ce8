import type { Answer, Body, Endpoint, FieldError, Params, Query } from '@kohort/contract';

/** The prefix that the service is published under; the page's `<base>` is `<prefix>/ui/`. */
export const root = new URL('..', document.baseURI).pathname.replace(/\/$/, '');

/** The service refused the call with a problem. */
export class Refusal extends Error {
  override readonly name = 'Refusal';
  readonly status: number;
  readonly code: string;
  readonly errors: readonly FieldError[];
  readonly requestId: string | undefined;
  /** Seconds after which to try again, if the service says so. */
  readonly retryAfter: number | undefined;

  constructor(message: string, of: Omit<Refusal, keyof Error>) {
    super(message);
    this.status = of.status;
    this.code = of.code;
    this.errors = of.errors;
    this.requestId = of.requestId;
    this.retryAfter = of.retryAfter;
  }
}

/** The service did not answer at all. */
export class Away extends Error {
  override readonly name = 'Away';
}

/** Makes a type readonly at every depth, since the body of a call is only read. */
type Frozen<T> = T extends readonly (infer Item)[]
  ? readonly Frozen<Item>[]
  : T extends object
    ? { readonly [Key in keyof T]: Frozen<T[Key]> }
    : T;

type Part<Name extends string, Value> =
  Value extends Record<string, never> ? unknown : Value extends undefined ? unknown : { readonly [K in Name]: Value };

/** The input of a call: the parts that its endpoint has. */
export type Input<E extends Endpoint> = Part<'params', Params<E>> &
  Partial<Part<'query', Query<E>>> &
  Part<'body', Frozen<Body<E>>> & {
    readonly signal?: AbortSignal;
    readonly headers?: Readonly<Record<string, string>>;
  };

interface RawInput {
  readonly params?: Readonly<Record<string, string | number>>;
  readonly query?: Readonly<Record<string, unknown>>;
  readonly body?: unknown;
  readonly signal?: AbortSignal;
  readonly headers?: Readonly<Record<string, string>>;
}

export function addressOf(path: string, { params = {}, query = {} }: Pick<RawInput, 'params' | 'query'>): string {
  const filled = path.replaceAll(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(String(params[name])));
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== '') search.set(name, String(value));
  }
  return `${root}${filled}${search.size > 0 ? `?${search}` : ''}`;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isFieldError(value: unknown): value is FieldError {
  return isRecord(value) && typeof value.path === 'string' && typeof value.message === 'string';
}

export async function refusalOf(response: Response): Promise<Refusal> {
  const body: unknown = await response.json().catch(() => undefined);
  const problem = isRecord(body) ? body : {};
  const retryAfter = Number(response.headers.get('retry-after') ?? Number.NaN);
  return new Refusal(typeof problem.detail === 'string' ? problem.detail : `HTTP ${response.status}`, {
    status: response.status,
    code: typeof problem.code === 'string' ? problem.code : 'unknown',
    errors: Array.isArray(problem.errors) ? problem.errors.filter(isFieldError) : [],
    requestId: response.headers.get('x-request-id') ?? undefined,
    retryAfter: Number.isFinite(retryAfter) ? retryAfter : undefined,
  });
}

const listeners = new Set<(event: 'away' | 'back' | 'signed-out') => void>();

/** Subscribes to the service becoming unreachable or reachable again, and to the end of the session. */
export function listen(listener: (event: 'away' | 'back' | 'signed-out') => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

function announce(event: 'away' | 'back' | 'signed-out'): void {
  for (const listener of listeners) listener(event);
}

/** Statuses of a proxy that cannot reach the service. */
const awayStatus = new Set([502, 504]);

let sessions = 0;

/** Has to be called when a session begins. A request from before may still be refused, which says nothing about this session. */
export function beginSession(): void {
  sessions += 1;
}

/** Sends a request to the service, with the session cookie, and returns the response. */
export type Carry = (address: string, init: RequestInit) => Promise<Response>;

const byFetch: Carry = (address, init) => fetch(address, { credentials: 'same-origin', ...init });

/** One request to the service. Anything but success throws. */
export async function send(address: string, init: RequestInit, carry = byFetch): Promise<Response> {
  let response: Response;
  const session = sessions;
  try {
    response = await carry(address, init);
  } catch (error) {
    if (init.signal?.aborted) throw error;
    announce('away');
    throw new Away('The service does not answer.', { cause: error });
  }
  if (awayStatus.has(response.status)) {
    announce('away');
    throw new Away('The service does not answer.');
  }
  announce('back');
  if (response.ok) return response;
  const refusal = await refusalOf(response);
  if (refusal.status === 401 && refusal.code === 'unauthenticated' && session === sessions) announce('signed-out');
  throw refusal;
}

const askEveryMs = 1000;

/** Whether the service could not answer in time, and offers a job instead: its refusal names the header that asks for one. */
function offersJob(error: unknown): boolean {
  return (
    error instanceof Refusal && error.status === 503 && error.errors.some(({ path }) => path === '/headers/prefer')
  );
}

const isEnded = (state: unknown) => state === 'done' || state === 'failed' || state === 'cancelled';

/** Repeats the call to be answered by a job, and waits for its result, however long it takes. */
async function byJob(address: string, init: RequestInit & { readonly headers: object }): Promise<unknown> {
  const asked = await send(address, { ...init, headers: { ...init.headers, prefer: 'respond-async' } });
  const accepted: unknown = await asked.json();
  if (asked.status !== 202 || !isRecord(accepted)) return accepted;
  const place = addressOf('/api/jobs/{id}', { params: { id: String(accepted.job) } });
  for (;;) {
    const job: unknown = await (await send(place, { ...(init.signal && { signal: init.signal }) })).json();
    if (isRecord(job) && isEnded(job.state)) {
      if (job.state === 'done') return job.result;
      const [first]: unknown[] = Array.isArray(job.errors) ? job.errors : [];
      const why = isRecord(first) && typeof first.message === 'string' ? first.message : String(job.state);
      throw new Refusal(why, {
        status: 0,
        code: 'job_failed',
        errors: [],
        requestId: undefined,
        retryAfter: undefined,
      });
    }
    await new Promise((resolve) => setTimeout(resolve, askEveryMs));
    init.signal?.throwIfAborted();
  }
}

async function request<T>(method: string, path: string, input: RawInput): Promise<T> {
  const { params, query, body, signal, headers } = input;
  const address = addressOf(path, { ...(params && { params }), ...(query && { query }) });
  const init = {
    method,
    headers: { ...(body !== undefined && { 'content-type': 'application/json' }), ...headers },
    ...(body !== undefined && { body: JSON.stringify(body) }),
    ...(signal && { signal }),
  };
  const answer: unknown = await send(address, init).then(
    (response) => (response.status === 204 ? undefined : response.json()),
    (error) => {
      if (offersJob(error)) return byJob(address, init);
      throw error;
    },
  );
  // The server's tests check every answer against the schema of this type.
  return answer as T;
}

/**
 * An endpoint of the contract as a function. Only its type is imported: the compiler checks method and path against it, and
 * the schemas stay out of the bundle.
 */
export function endpoint<E extends Endpoint = never>(
  method: E['method'],
  path: E['path'],
): (input: Input<E>) => Promise<Answer<E>> {
  return (input) => request(method, path, input as RawInput);
}
