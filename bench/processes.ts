import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

type Undo = () => Promise<void>;

const undos: Undo[] = [];
let ending = false;
const STOP_WITHIN = 30_000;

/** Remembers what has to be ended or taken away, whatever the bench ends by. */
export function atEnd(undo: Undo): Undo {
  let done: Promise<void> | undefined;
  const undoOnce = () => {
    done ??= undo();
    return done;
  };
  undos.push(undoOnce);
  return undoOnce;
}

/** Undoes everything that is left, the newest first. */
export async function endAll(): Promise<void> {
  ending = true;
  for (let undo = undos.pop(); undo; undo = undos.pop()) {
    await undo().catch((error) => process.stderr.write(`while ending: ${error}\n`));
  }
}

/** While everything is being ended, nothing more begins. */
function refuseWhenEnding(): void {
  if (ending) throw new Error('the bench is ending');
}

export interface Started {
  readonly pid: number;
  readonly process: ChildProcess;
  /** What it wrote, the last few kilobytes. */
  readonly output: () => string;
  readonly hasEnded: () => boolean;
  stop(): Promise<void>;
}

export interface StartOptions {
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

/** A process of ours, in a group of its own so that Ctrl-C at the terminal reaches it through us alone. */
export async function startProcess({ command, args, env = {} }: StartOptions): Promise<Started> {
  refuseWhenEnding();
  const child = spawn(command, args, {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  let output = '';
  const keep = (chunk: Buffer) => {
    output = (output + chunk.toString()).slice(-8_192);
  };
  child.stdout.on('data', keep);
  child.stderr.on('data', keep);
  await once(child, 'spawn');
  const { pid } = child;
  if (pid === undefined) throw new Error(`${command} did not start`);
  const hasEnded = () => child.exitCode !== null || child.signalCode !== null;
  const stop = atEnd(async () => {
    if (hasEnded()) return;
    const ended = once(child, 'exit');
    child.kill('SIGTERM');
    const late = setTimeout(() => child.kill('SIGKILL'), STOP_WITHIN);
    await ended;
    clearTimeout(late);
  });
  return { pid, process: child, output: () => output, hasEnded, stop };
}

/** Waits until the address answers 200. @throws with what the process wrote when it ends first or takes too long. */
export async function waitUntilReady(started: Started, url: string, milliseconds = 60_000): Promise<void> {
  const deadline = performance.now() + milliseconds;
  for (;;) {
    if (started.hasEnded()) throw new Error(`the process ended before it answered: ${started.output()}`);
    const answer = await fetch(url, { signal: AbortSignal.timeout(2_000) }).catch(() => undefined);
    await answer?.arrayBuffer().catch(() => undefined);
    if (answer?.ok) return;
    if (performance.now() > deadline) throw new Error(`${url} does not answer: ${started.output()}`);
    await sleep(50);
  }
}

/** A port of 127.0.0.1 that nobody uses at the moment. */
export async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  if (typeof address !== 'object' || !address) throw new Error('no free port');
  return address.port;
}

export interface Ran {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command to its end. @throws when it cannot be started; `code` is null when it was cut off. */
export async function run(
  command: string,
  args: readonly string[],
  { env = {}, cwd, timeout }: { env?: Readonly<Record<string, string>>; cwd?: string; timeout: number },
): Promise<Ran> {
  refuseWhenEnding();
  const child = spawn(command, args, {
    ...(cwd !== undefined && { cwd }),
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk) => {
    stdout += chunk;
  });
  child.stderr.on('data', (chunk) => {
    stderr += chunk;
  });
  await once(child, 'spawn');
  const cutOff = setTimeout(() => child.kill('SIGKILL'), timeout);
  const stop = atEnd(async () => void child.kill('SIGKILL'));
  await once(child, 'close');
  clearTimeout(cutOff);
  await stop();
  return { code: child.exitCode, stdout, stderr };
}

/** Whether a command is on the PATH. */
export async function isInstalled(command: string): Promise<boolean> {
  return run('sh', ['-c', `command -v ${command}`], { timeout: 5_000 }).then(
    ({ code }) => code === 0,
    () => false,
  );
}
