import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from '@kohort/embedded/free-port.ts';
import { isReady } from '@kohort/testkit/http.ts';
import { atEnd, type Child } from '@kohort/testkit/processes.ts';
import { ADMIN_PASSWORD, production, spawnService } from '@kohort/testkit/service.ts';

const restartAfterMs = 100;
const readyWithinMs = 60_000;
const maxCrashChars = 2_000;

/** A service as its users run it: a process, kept alive by a supervisor, which is us. */
export interface Supervised {
  readonly port: number;
  readonly url: string;
  readonly pid: () => number;
  /** How often it was restarted because it had ended. */
  readonly restarts: () => number;
  /** The end of what was written by each process that ended by itself. */
  readonly crashes: readonly string[];
  /** Milliseconds the first start took: on a busy machine, most of a recovery. */
  readonly startTook: number;
  readonly output: () => string;
  /** False when it had ended already. */
  signal(name: NodeJS.Signals): boolean;
  /** Stops it gracefully and starts it again. Returns the exit code. */
  replace(): Promise<number | null>;
  ready(withinMs?: number): Promise<void>;
  stop(): Promise<void>;
}

export interface ServiceOptions {
  readonly databaseUrl?: string;
  readonly port?: number;
  readonly env?: Readonly<Record<string, string>>;
  readonly nodeArgs?: readonly string[];
}

/** Without a database: the service brings its own. */
function settingsOf(databaseUrl: string | undefined, own: Readonly<Record<string, string>>) {
  if (databaseUrl !== undefined) return production(databaseUrl, own);
  return { MODE: 'evaluation', NODE_ENV: 'production', ADMIN_PASSWORD, LOG_LEVEL: 'error', ...own };
}

const outputOf = (child: Child) => child.stdout() + child.stderr();

export async function startService({
  databaseUrl,
  port: given,
  env = {},
  nodeArgs = [],
}: ServiceOptions): Promise<Supervised> {
  const port = given ?? (await freePort());
  const url = `http://127.0.0.1:${port}`;
  const settings = settingsOf(databaseUrl, { PORT: String(port), ...env });
  const began = performance.now();
  let restarts = 0;
  let stopping = false;
  const crashes: string[] = [];
  /** The last signal that was sent, by `replace` or `signal`. */
  let sent: { readonly child: Child; readonly name: NodeJS.Signals } | undefined;
  let lastWords = '';
  let child = await spawn();

  async function spawn(): Promise<Child> {
    const started = await spawnService(settings, nodeArgs);
    restartAfter(started).catch((error) => {
      lastWords = `it was not started again: ${error}`;
    });
    return started;
  }

  async function restartAfter(started: Child): Promise<void> {
    const { code, signal } = await started.exit;
    if (stopping) return;
    lastWords = outputOf(started);
    const wasEnded = sent?.child === started && (code === 0 || signal === sent.name);
    if (!wasEnded) crashes.push(lastWords.slice(-maxCrashChars));
    restarts++;
    await sleep(restartAfterMs);
    if (!stopping) child = await spawn();
  }

  async function ready(withinMs = readyWithinMs): Promise<void> {
    const deadline = performance.now() + withinMs;
    while (!(await isReady(url))) {
      if (performance.now() > deadline)
        throw new Error(`the service does not get ready: ${lastWords} ${outputOf(child)}`);
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
    crashes,
    output: () => outputOf(child),
    signal(name) {
      if (!child.signal(name)) return false;
      sent = { child, name };
      return true;
    },
    async replace() {
      const old = child;
      sent = { child: old, name: 'SIGTERM' };
      const { code } = await old.kill('SIGTERM');
      // The supervisor starts the next one.
      while (child === old) await sleep(10);
      await ready();
      return code;
    },
    ready,
    stop,
  };
}
