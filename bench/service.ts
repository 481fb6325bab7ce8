import { openAsBlob } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { eventually } from '@kohort/testkit/eventually.ts';
import { call as callOnce, demand, fieldOf, signIn } from '@kohort/testkit/http.ts';
import type { Child } from '@kohort/testkit/processes.ts';
import { launch, production, untilReady } from '@kohort/testkit/service.ts';

// For databases that only the bench uses. Always the same, so that kept ones can be used again.
const ADMIN_PASSWORD = 'the admin of a benchmark';
const EDITOR_PASSWORD = 'the editor of a benchmark';
const SESSIONS = 24;
const UPLOAD_WITHIN_MS = 900_000;

/** Whatever runs on a port and is measured. */
export interface Target {
  readonly url: string;
  readonly pid: number;
  stop(): Promise<void>;
}

export interface Service extends Target {
  /** Makes a call as the admin. @returns the answer's body. @throws unless it is 2xx. */
  call(method: string, path: string, body?: object): Promise<unknown>;
  /** Streams a CSV file, as the admin. */
  upload(path: string, file: string): Promise<unknown>;
}

export interface ServiceOptions {
  readonly databaseUrl: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Flags for node itself. */
  readonly nodeArgs?: readonly string[];
}

/** Waits until the address answers 2xx. @throws with the output of the process if it ends first. */
export async function untilAnswered(child: Child, url: string): Promise<void> {
  await eventually(async () => {
    if (child.hasEnded()) return true;
    const { status } = await callOnce(url, 'GET', '', { withinMs: 2_000 });
    return status >= 200 && status < 300;
  });
  if (child.hasEnded()) throw new Error(`the process ended before it answered: ${child.stdout()}${child.stderr()}`);
}

/** Starts the service as in production, with authentication, on the loopback only. */
export async function startService({ databaseUrl, env = {}, nodeArgs = [] }: ServiceOptions): Promise<Service> {
  const running = await launch(production(databaseUrl, { ADMIN_PASSWORD, ...env }), nodeArgs);
  await untilReady(running);
  const { url, pid, stop } = running;
  let admin: string | undefined;
  const token = async () => {
    admin ??= await signIn(url, 'admin', ADMIN_PASSWORD);
    return admin;
  };
  return {
    url,
    pid,
    stop,
    call: async (method, path, body) => demand(url, method, path, { body, token: await token() }),
    async upload(path, file) {
      const headers = { 'Content-Type': 'text/csv' };
      const body = await openAsBlob(file);
      return demand(url, 'POST', path, { body, headers, token: await token(), withinMs: UPLOAD_WITHIN_MS });
    },
  };
}

/** The secret of a new API key that may read everything. */
export async function createViewerKey(service: Service): Promise<string> {
  const key = fieldOf(await service.call('POST', '/api/keys', { name: 'bench', role: 'viewer' }), 'key');
  if (typeof key !== 'string') throw new Error('no key');
  return key;
}

/** Session tokens of an account that may write, one a line, good for every service on that database. */
export async function writeTokens(service: Service, file: string): Promise<string> {
  const body = JSON.stringify({ name: 'Bench', username: 'bench', password: EDITOR_PASSWORD });
  const { status, text } = await callOnce(service.url, 'POST', '/auth/sign-up', { body });
  // The name is taken: an earlier bench used the database.
  if (status === 200) {
    await service.call('PATCH', `/api/accounts/${fieldOf(JSON.parse(text), 'id')}`, { role: 'editor' });
  }
  const tokens: string[] = [];
  for (let i = 0; i < SESSIONS; i++) tokens.push(await signIn(service.url, 'bench', EDITOR_PASSWORD));
  await writeFile(file, `${tokens.join('\n')}\n`, { mode: 0o600 });
  return file;
}
