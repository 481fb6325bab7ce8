import { randomBytes } from 'node:crypto';
import { openAsBlob } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freePort, startProcess, waitUntilReady } from './processes.ts';

const MAIN = join(import.meta.dirname, '../server/src/main.ts');
// Of databases that nobody but the bench uses; the same each time, so that kept ones can be used again.
const ADMIN_PASSWORD = 'the admin of a benchmark';
const EDITOR_PASSWORD = 'the editor of a benchmark';
const SESSIONS = 24;
const jwtSecret = randomBytes(48).toString('base64url');

/** Whatever runs on a port and is measured. */
export interface Target {
  readonly url: string;
  readonly pid: number;
  stop(): Promise<void>;
}

export interface Service extends Target {
  /** As the admin. @returns the answer's body. @throws unless it is 2xx. */
  call(method: string, path: string, body?: object): Promise<unknown>;
  /** Streams a CSV file, as the admin. */
  upload(path: string, file: string): Promise<unknown>;
}

export interface ServiceOptions {
  readonly databaseUrl: string;
  readonly env?: Readonly<Record<string, string>>;
  /** For node itself. */
  readonly nodeArgs?: readonly string[];
}

const CALL_WITHIN = 60_000;
const UPLOAD_WITHIN = 900_000;

async function request(url: string, method: string, token: string | undefined, body: object | undefined) {
  const file = body instanceof Blob ? body : undefined;
  const answer = await fetch(url, {
    method,
    headers: {
      ...(token !== undefined && { authorization: `Bearer ${token}` }),
      ...(body && { 'content-type': file ? 'text/csv' : 'application/json' }),
    },
    ...(body && { body: file ?? JSON.stringify(body) }),
    signal: AbortSignal.timeout(file ? UPLOAD_WITHIN : CALL_WITHIN),
  });
  const text = await answer.text();
  return { status: answer.status, body: text === '' ? undefined : (JSON.parse(text) as unknown), text };
}

function fieldOf(body: unknown, name: string): unknown {
  return typeof body === 'object' && body !== null ? Reflect.get(body, name) : undefined;
}

async function signIn(url: string, username: string, password: string): Promise<string> {
  const { status, body, text } = await request(`${url}/auth/sign-in`, 'POST', undefined, { username, password });
  const token = fieldOf(body, 'token');
  if (typeof token !== 'string') throw new Error(`sign-in of ${username} answered ${status}: ${text}`);
  return token;
}

/** Starts the service as one would in production: authentication on, on the loopback alone. */
export async function startService({ databaseUrl, env = {}, nodeArgs = [] }: ServiceOptions): Promise<Service> {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const started = await startProcess({
    command: process.execPath,
    args: [...nodeArgs, MAIN],
    env: {
      MODE: 'production',
      NODE_ENV: 'production',
      HOST: '127.0.0.1',
      PORT: String(port),
      DATABASE_URL: databaseUrl,
      JWT_SECRET: jwtSecret,
      ADMIN_PASSWORD,
      LOG_LEVEL: 'error',
      ...env,
    },
  });
  await waitUntilReady(started, `${url}/readyz`);
  let admin: string | undefined;
  async function call(method: string, path: string, body?: object): Promise<unknown> {
    admin ??= await signIn(url, 'admin', ADMIN_PASSWORD);
    const answer = await request(`${url}${path}`, method, admin, body);
    if (answer.status >= 300) throw new Error(`${method} ${path} answered ${answer.status}: ${answer.text}`);
    return answer.body;
  }
  return {
    url,
    pid: started.pid,
    stop: started.stop,
    call,
    upload: async (path, file) => call('POST', path, await openAsBlob(file)),
  };
}

/** Session tokens of an account that may write, one a line, good for every service on that database. */
export async function writeTokens(service: Service, file: string): Promise<string> {
  const { status, body } = await request(`${service.url}/auth/sign-up`, 'POST', undefined, {
    name: 'Bench',
    username: 'bench',
    password: EDITOR_PASSWORD,
  });
  // Taken: the database served a bench before.
  if (status === 200) await service.call('PATCH', `/api/accounts/${fieldOf(body, 'id')}`, { role: 'editor' });
  const tokens: string[] = [];
  for (let i = 0; i < SESSIONS; i++) tokens.push(await signIn(service.url, 'bench', EDITOR_PASSWORD));
  await writeFile(file, `${tokens.join('\n')}\n`, { mode: 0o600 });
  return file;
}
