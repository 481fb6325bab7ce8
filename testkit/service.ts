import { randomBytes } from 'node:crypto';
import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readPidFile } from '@kohort/embedded/cluster.ts';
import { eventually } from './eventually.ts';
import { isReady } from './http.ts';
import { databaseEnv } from './pooler.ts';
import { type Child, childrenOf, type Exit, startChild } from './processes.ts';
import { reap } from './reaper.ts';

const MAIN = join(import.meta.dirname, '../server/src/main.ts');
export const ADMIN_PASSWORD = 'correct horse battery';
const JWT_SECRET = randomBytes(48).toString('base64url');

type Env = Readonly<Record<string, string>>;

export interface Running extends Child {
  readonly url: string;
  readonly port: number;
}

/** The environment of a production service on the loopback. */
export function production(databaseUrl: string, env: Env = {}): Env {
  return {
    MODE: 'production',
    NODE_ENV: 'production',
    HOST: '127.0.0.1',
    ...databaseEnv(databaseUrl),
    JWT_SECRET,
    ADMIN_PASSWORD,
    LOG_LEVEL: 'error',
    DRAIN_DELAY: '0',
    ...env,
  };
}

/** Starts the service without waiting for anything. */
export async function spawnService(env: Env, nodeArgs: readonly string[] = []): Promise<Child> {
  if (env.DATA_DIR !== undefined) reap({ cluster: join(env.DATA_DIR, 'postgres') });
  return startChild({ args: [...nodeArgs, MAIN], env });
}

/** Runs the service until it ends by itself. */
export async function runToEnd(env: Env): Promise<Exit> {
  return (await spawnService(env)).exit;
}

/** Starts the service on a free port, and waits until it says where it listens. */
export async function launch(env: Env, nodeArgs: readonly string[] = []): Promise<Running> {
  const child = await spawnService({ PORT: '0', ...env }, nodeArgs);
  const address = () => /listens on (http:\/\/[^\s:]+:(\d+))/.exec(child.stdout());
  await eventually(() => address() !== null || child.hasEnded());
  const port = Number(address()?.[2]);
  if (!(port > 0)) throw new Error(`the service ended: ${JSON.stringify(await child.exit)}`);
  return { ...child, url: `http://127.0.0.1:${port}`, port };
}

/** Waits until the service is ready. @throws with its output if it ends first. */
export async function untilReady(service: Child & { readonly url: string }): Promise<void> {
  await eventually(async () => service.hasEnded() || (await isReady(service.url)));
  if (service.hasEnded()) throw new Error(`the service ended: ${service.stdout()} ${service.stderr()}`);
}

export interface DataFolder {
  readonly folder: string;
  remove(): Promise<void>;
}

/** A new folder. Unless `open` it is private, so that if we are root, PostgreSQL's user has no access. */
export async function dataFolder({ open = false } = {}): Promise<DataFolder> {
  const folder = await mkdtemp(join(tmpdir(), 'kohort-data-'));
  if (open) await chmod(folder, 0o755);
  const spare = reap({ folder });
  return {
    folder,
    async remove() {
      await rm(folder, { recursive: true, force: true, maxRetries: 5 });
      spare();
    },
  };
}

/** The postmaster of an embedded PostgreSQL. */
export async function postmasterOf(folder: string): Promise<number> {
  const found = await readPidFile(join(folder, 'postgres'));
  if (!found) throw new Error('no postmaster');
  return found.pid;
}

/** The address of the database of an embedded PostgreSQL. */
export async function embeddedUrl(folder: string): Promise<string> {
  const found = await readPidFile(join(folder, 'postgres'));
  const password = (await readFile(join(folder, 'postgres', 'kohort-password'), 'utf8')).trim();
  return `postgres://kohort:${password}@127.0.0.1:${found?.port}/kohort`;
}

/** A process and its children, the oldest first. */
export async function familyOf(pid: number): Promise<number[]> {
  return [pid, ...(await childrenOf(pid))];
}
