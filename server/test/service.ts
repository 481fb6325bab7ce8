import { type Endpoint, endpoints } from '@kohort/contract';
import { createDatabase } from '@kohort/testkit/database.ts';
import { Compile } from 'typebox/compile';
import { type ServiceOptions as AppOptions, createService } from '../src/app.ts';
import type { Database } from '../src/postgres/database.ts';
import { ADMIN_PASSWORD, patientConnections, testConfig } from './config.ts';

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | number | undefined>>;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into whatever came back; what it should be is what they assert.
  readonly body: any;
  /** Byte for byte. */
  readonly text: string;
}

export interface CallOptions {
  readonly token?: string | undefined;
  /** An object goes out as JSON; a string as it is. */
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Service {
  readonly db: Database;
  /** Of the database, for a second instance. */
  readonly url: string;
  /** An admin's session. */
  readonly admin: string;
  call(method: string, path: string, options?: CallOptions): Promise<Answer>;
  /** Signs up and in; the role is given by the admin. */
  account(username: string, role?: string): Promise<{ id: number; token: string }>;
  stop(): Promise<void>;
}

export interface ServiceOptions {
  readonly mode?: 'evaluation' | 'production';
  readonly env?: Readonly<Record<string, string>>;
  /** The database of another service; otherwise one of its own, dropped at the end. */
  readonly database?: string;
  readonly sender?: AppOptions['sender'];
}

export { ADMIN_PASSWORD } from './config.ts';

const SECRET = 'a secret for the tests alone, of more than 32 bytes';

const checks = endpoints.map((endpoint) => ({
  endpoint,
  pattern: new RegExp(`^${endpoint.path.replaceAll(/[.]/g, '\\.').replaceAll(/\{\w+\}/g, '[^/]+')}$`),
  validator: endpoint.success.body && Compile(endpoint.success.body),
}));

type Fail = (what: string) => never;

function checkProblem({ status, headers, body }: Answer, fail: Fail): void {
  if (!String(headers['content-type']).startsWith('application/problem+json')) fail('not a problem document');
  if (body.status !== status || body.message !== body.detail || body.request_id !== headers['x-request-id'])
    fail('not our problem form');
}

/** What OpenFeature's providers need of a failure. */
function checkFlagError({ headers, body }: Answer, fail: Fail): void {
  if (!/^application\/json(?:;|$)/.test(String(headers['content-type']))) fail('not JSON');
  const { key, reason, variant, metadata, errorCode, errorDetails } = body;
  const texts = [key, reason, variant, errorCode, errorDetails];
  if (texts.some((text) => typeof text !== 'string') || typeof metadata !== 'object' || metadata === null)
    fail('not the form of OFREP');
}

/** What every answer of the service owes, whatever the test is about. */
function checkAnswer(method: string, path: string, answer: Answer): void {
  const { status, headers, body } = answer;
  const fail: Fail = (what) => {
    throw new Error(`${method} ${path} answered ${status}: ${what}: ${JSON.stringify(body)}`);
  };
  if (!headers['x-request-id']) fail('without X-Request-Id');
  if (status >= 400) {
    if (path.startsWith('/ofrep/')) checkFlagError(answer, fail);
    else checkProblem(answer, fail);
    if (status === 401 && !headers['www-authenticate']) fail('without WWW-Authenticate');
    if (status === 405 && !headers.allow) fail('without Allow');
    if ((status === 429 || status === 503) && !headers['retry-after']) fail('without Retry-After');
    return;
  }
  // Not modified: what was asked for is what the caller has.
  if (status === 304) return;
  const plain = path.split('?')[0] ?? '';
  const found = checks.find(
    ({ endpoint, pattern }: { endpoint: Endpoint; pattern: RegExp }) =>
      endpoint.method === method && pattern.test(plain),
  );
  if (!found) return;
  if (found.endpoint.deferrable && status === 202) return;
  if (found.endpoint.success.status !== status) fail('not the documented status');
  if (found.validator && !found.validator.Check(body))
    fail(`not its schema: ${JSON.stringify(found.validator.Errors(body))}`);
}

/** A whole service on a real database; calls go through all of it but the socket. */
export async function startService({ database, ...options }: ServiceOptions = {}): Promise<Service> {
  if (database !== undefined) return startOn(database, options);
  const own = await createDatabase();
  try {
    const service = await startOn(own.url, options);
    return {
      ...service,
      async stop() {
        await service.stop();
        await own.drop();
      },
    };
  } catch (error) {
    await own.drop();
    throw error;
  }
}

async function startOn(
  url: string,
  { mode = 'evaluation', env = {}, sender = {} }: Omit<ServiceOptions, 'database'>,
): Promise<Service> {
  const config = testConfig(url, { secret: SECRET, mode, env });
  const service = await createService(config, { connections: patientConnections, sender });
  try {
    await service.connect(config.databaseUrl ?? url);
    return await signedIn(service, url);
  } catch (error) {
    await service.stop();
    throw error;
  }
}

async function signedIn(service: Awaited<ReturnType<typeof createService>>, url: string): Promise<Service> {
  const call: Service['call'] = async (method, path, { token, body, headers = {} } = {}) => {
    const response = await service.app.inject({
      method: method as 'GET',
      url: path,
      headers: {
        ...(body !== undefined && { 'content-type': 'application/json' }),
        ...(token !== undefined && { authorization: `Bearer ${token}` }),
        ...headers,
      },
      ...(body !== undefined && {
        payload: typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body),
      }),
    });
    const text = response.payload;
    const isJson = /[/+]json/.test(String(response.headers['content-type']));
    const answer = {
      status: response.statusCode,
      headers: response.headers,
      body: isJson ? JSON.parse(text) : text,
      text,
    };
    checkAnswer(method, path, answer);
    return answer;
  };

  const signIn = async (username: string, password: string): Promise<string> => {
    const { status, body } = await call('POST', '/auth/sign-in', { body: { username, password } });
    if (status !== 200) throw new Error(`sign-in of ${username} answered ${status}`);
    return body.token;
  };
  const admin = await signIn('admin', ADMIN_PASSWORD);

  return {
    db: service.db,
    url,
    admin,
    call,
    async account(username, role = 'member') {
      const password = `password of ${username}`;
      const { body } = await call('POST', '/auth/sign-up', { body: { name: username, username, password } });
      if (role !== 'member') await call('PATCH', `/api/accounts/${body.id}`, { token: admin, body: { role } });
      return { id: body.id, token: await signIn(username, password) };
    },
    stop: () => service.stop(),
  };
}
