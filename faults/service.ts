import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { atEnd, type Child, freePort, startChild } from './processes.ts';

const MAIN = join(import.meta.dirname, '../server/src/main.ts');
export const ADMIN_PASSWORD = 'the admin of the fault drills';
const secret = randomBytes(48).toString('base64url');

/** A service as its users run it: a process, kept alive by a supervisor, which is us. */
export interface Supervised {
  readonly port: number;
  readonly url: string;
  readonly pid: () => number;
  /** How often it had to be started again because it had ended. */
  readonly restarts: () => number;
  /** Milliseconds the first start took: on a busy machine, most of a recovery. */
  readonly startTook: number;
  readonly output: () => string;
  /** False when it was not there to be told. */
  signal(name: NodeJS.Signals): boolean;
  /** Ends it gracefully and starts it anew; the exit code of the one that ended. */
  replace(): Promise<number | null>;
  ready(within?: number): Promise<void>;
  stop(): Promise<void>;
}

export interface ServiceOptions {
  readonly databaseUrl?: string;
  readonly port?: number;
  readonly env?: Readonly<Record<string, string>>;
  readonly nodeArgs?: readonly string[];
}

async function isReady(url: string): Promise<boolean> {
  const answer = await fetch(`${url}/readyz`, { signal: AbortSignal.timeout(1_000) }).catch(() => undefined);
  await answer?.arrayBuffer().catch(() => undefined);
  return answer?.ok === true;
}

export async function startService({
  databaseUrl,
  port: given,
  env = {},
  nodeArgs = [],
}: ServiceOptions): Promise<Supervised> {
  const port = given ?? (await freePort());
  const url = `http://127.0.0.1:${port}`;
  const settings = {
    MODE: databaseUrl === undefined ? 'evaluation' : 'production',
    NODE_ENV: 'production',
    HOST: '127.0.0.1',
    PORT: String(port),
    DATABASE_URL: databaseUrl ?? '',
    JWT_SECRET: secret,
    ADMIN_PASSWORD,
    LOG_LEVEL: 'error',
    ...env,
  };
  const began = performance.now();
  let restarts = 0;
  let stopping = false;
  let lastWords = '';
  let child = await spawn();

  async function spawn(): Promise<Child> {
    const started = await startChild([...nodeArgs, MAIN], settings);
    void started.ended.then(async () => {
      if (stopping) return;
      lastWords = started.output();
      restarts++;
      await sleep(100);
      if (!stopping) child = await spawn();
    });
    return started;
  }

  async function ready(within = 60_000): Promise<void> {
    const deadline = performance.now() + within;
    while (!(await isReady(url))) {
      if (performance.now() > deadline)
        throw new Error(`the service does not get ready: ${lastWords} ${child.output()}`);
      await sleep(25);
    }
  }

  const stop = atEnd(async () => {
    stopping = true;
    await child.stop();
  });
  await ready();
  const startTook = performance.now() - began;
  return {
    port,
    startTook,
    url,
    pid: () => child.pid,
    restarts: () => restarts,
    output: () => child.output(),
    signal: (name) => child.signal(name),
    async replace() {
      const old = child;
      old.signal('SIGTERM');
      const code = await old.ended;
      // The supervisor starts the next one.
      while (child === old) await sleep(10);
      await ready();
      return code;
    },
    ready,
    stop,
  };
}
