const WITHIN_MS = 60_000;

export interface Answer {
  readonly status: number;
  readonly type: string | null;
  readonly text: string;
  readonly headers: Headers;
}

/** A call as data. */
export interface Ask {
  readonly method: string;
  readonly path: string;
  readonly body?: object | undefined;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface CallOptions {
  /** Sent as it is, with a content type of JSON unless `headers` name another. */
  readonly body?: string | Blob;
  readonly token?: string | undefined;
  readonly headers?: Readonly<Record<string, string>>;
  readonly withinMs?: number;
}

/** Makes one call. Content-Type is always application/json, even without a body, as in the documented examples. */
export async function call(
  url: string,
  method: string,
  path: string,
  { body, token, headers = {}, withinMs = WITHIN_MS }: CallOptions = {},
): Promise<Answer> {
  const response = await fetch(`${url}${path}`, {
    method,
    headers: {
      'Content-Type': 'application/json',
      ...(token !== undefined && { Authorization: `Bearer ${token}` }),
      ...headers,
    },
    ...(body !== undefined && { body }),
    signal: AbortSignal.timeout(withinMs),
  });
  const text = await response.text();
  return { status: response.status, type: response.headers.get('content-type'), text, headers: response.headers };
}

/** Sends JSON, demands success, and returns the parsed answer. */
export async function demand(
  url: string,
  method: string,
  path: string,
  { body, ...rest }: Omit<CallOptions, 'body'> & { readonly body?: object | undefined } = {},
): Promise<unknown> {
  const sent = body instanceof Blob ? body : body && JSON.stringify(body);
  const { status, text } = await call(url, method, path, { ...rest, ...(sent !== undefined && { body: sent }) });
  if (status >= 300) throw new Error(`${method} ${path} answered ${status}: ${text}`);
  return text === '' ? undefined : JSON.parse(text);
}

export function fieldOf(body: unknown, name: string): unknown {
  return typeof body === 'object' && body !== null ? Reflect.get(body, name) : undefined;
}

/** @returns the token of a new session. */
export async function signIn(url: string, username: string, password: string): Promise<string> {
  const token = fieldOf(await demand(url, 'POST', '/auth/sign-in', { body: { username, password } }), 'token');
  if (typeof token !== 'string') throw new Error('no token');
  return token;
}

export async function isReady(url: string): Promise<boolean> {
  const answer = await call(url, 'GET', '/readyz', { withinMs: 2_000 }).catch(() => undefined);
  return answer?.status === 200;
}
