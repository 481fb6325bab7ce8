import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { availableParallelism, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';

const MAIN = join(import.meta.dirname, '../server/src/main.ts');

export interface Exit {
  readonly code: number | null;
  readonly signal: string | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Running {
  readonly pid: number;
  readonly url: string;
  readonly port: number;
  /** What it has printed so far. */
  readonly stdout: () => string;
  readonly exit: Promise<Exit>;
  kill(signal: NodeJS.Signals): Promise<Exit>;
}

export interface Answer {
  readonly status: number;
  readonly type: string | null;
  readonly text: string;
  readonly headers: Headers;
}

function run(env: Record<string, string>): { child: ChildProcess; exit: Promise<Exit>; stdout: () => string } {
  // Nothing of the environment that the tests run in may leak into the service.
  const child = spawn(process.execPath, [MAIN], {
    env: { PATH: process.env.PATH ?? '', HOME: process.env.HOME ?? '', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const output = { stdout: '', stderr: '' };
  child.stdout?.on('data', (chunk) => {
    output.stdout += chunk;
  });
  child.stderr?.on('data', (chunk) => {
    output.stderr += chunk;
  });
  const exit = new Promise<Exit>((resolve) => {
    child.once('close', (code, signal) => resolve({ code, signal, ...output }));
  });
  return { child, exit, stdout: () => output.stdout };
}

/** Runs the service until it ends by itself. */
export async function runToEnd(env: Record<string, string>): Promise<Exit> {
  return run(env).exit;
}

/** Starts the service and waits for nothing. */
export function start(env: Record<string, string>): Pick<Running, 'exit' | 'kill'> {
  const { child, exit } = run(env);
  return {
    exit,
    kill(signal) {
      child.kill(signal);
      return exit;
    },
  };
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  if (typeof address !== 'object' || !address) throw new Error('no port');
  return address.port;
}

/** Starts the service as a person would, on a free port, and waits until it says where it listens. */
export async function launch(env: Record<string, string>): Promise<Running> {
  const { child, exit, stdout } = run({ PORT: '0', ...env });
  let ended: Exit | undefined;
  exit.then((one) => {
    ended = one;
  });
  const listens = () => /listens on (http:\/\/[^\s:]+:(\d+))/.exec(stdout());
  while (!listens()) {
    if (ended) throw new Error(`the service ended: ${JSON.stringify(ended)}`);
    await sleep(20);
  }
  const [, , port] = listens() ?? [];
  return {
    pid: child.pid ?? 0,
    url: `http://127.0.0.1:${port}`,
    port: Number(port),
    stdout,
    exit,
    kill(signal) {
      child.kill(signal);
      return exit;
    },
  };
}

/** One call, with exactly these headers. */
export async function call(
  url: string,
  method: string,
  path: string,
  { body, token, headers = {} }: { body?: string; token?: string | undefined; headers?: Record<string, string> } = {},
): Promise<Answer> {
  const response = await fetch(`${url}${path}`, {
    method,
    headers: {
      'Content-Type': 'application/json',
      ...(token !== undefined && { Authorization: `Bearer ${token}` }),
      ...headers,
    },
    ...(body !== undefined && { body }),
    signal: AbortSignal.timeout(20_000),
  });
  const text = await response.text();
  return { status: response.status, type: response.headers.get('content-type'), text, headers: response.headers };
}

export async function dataFolder(): Promise<{ folder: string; remove: () => Promise<void> }> {
  // mkdtemp makes it 0700: as root, the user that PostgreSQL runs as may not walk through it.
  const folder = await mkdtemp(join(tmpdir(), 'kohort-acceptance-'));
  return { folder, remove: () => rm(folder, { recursive: true, force: true }) };
}

/** The postmaster of an embedded PostgreSQL. */
export async function postmasterOf(folder: string): Promise<number> {
  const pid = Number((await readFile(join(folder, 'postgres', 'postmaster.pid'), 'utf8')).split('\n')[0]);
  if (!(pid > 1)) throw new Error('no postmaster');
  return pid;
}

/** A process and its children, the oldest first. */
export async function familyOf(pid: number): Promise<number[]> {
  const { stdout } = await promisify(execFile)('ps', ['-o', 'pid=', '--ppid', String(pid)]).catch(() => ({
    stdout: '',
  }));
  return [pid, ...stdout.trim().split(/\s+/).filter(Boolean).map(Number)];
}

/** Starts are timed on a machine that has other things to do; what is promised is for one that has not. */
export function crowding(): number {
  return Math.max(1, (loadavg()[0] ?? 0) / availableParallelism());
}

export async function eventually(check: () => Promise<boolean>, within: number): Promise<number> {
  const started = performance.now();
  while (!(await check().catch(() => false))) {
    if (performance.now() - started > within) throw new Error(`not within ${within} ms`);
    await sleep(50);
  }
  return performance.now() - started;
}
