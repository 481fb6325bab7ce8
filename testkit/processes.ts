import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { promisify } from 'node:util';
import { readStats, residentBytesOf } from './proc.ts';
import { reap } from './reaper.ts';

export const run = promisify(execFile);

type Undo = () => Promise<void>;

const STOP_WITHIN_MS = 30_000;
const MAX_OUTPUT_CHARS = 64 * 2 ** 20;
const undos: Undo[] = [];
let ending = false;

/** Registers work to be done however the run ends. The returned function does it now; calling that twice does it once. */
export function atEnd(undo: Undo): Undo {
  let done: Promise<void> | undefined;
  const undoOnce = () => {
    done ??= undo();
    return done;
  };
  undos.push(undoOnce);
  return undoOnce;
}

function forget(undo: Undo): void {
  const at = undos.indexOf(undo);
  if (at !== -1) undos.splice(at, 1);
}

/** Does all registered work that is left, the newest first. */
export async function endAll(): Promise<void> {
  ending = true;
  for (let undo = undos.pop(); undo; undo = undos.pop()) {
    await undo().catch((error) => process.stderr.write(`while ending: ${error}\n`));
  }
  ending = false;
}

export function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

/** Ends everything in order at the first signal, and at once at the second. Returns whether there has been one. */
export function endOnSignals(): () => boolean {
  let isStopping = false;
  const stop = async () => {
    if (isStopping) process.exit(130);
    isStopping = true;
    say('\nstopping');
    await endAll();
    process.exit(130);
  };
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, stop);
  return () => isStopping;
}

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Child {
  readonly pid: number;
  /** What it has written so far. */
  readonly stdout: () => string;
  readonly stderr: () => string;
  readonly hasEnded: () => boolean;
  readonly exit: Promise<Exit>;
  /** False when it had ended already. */
  signal(name: NodeJS.Signals): boolean;
  /** Signals it and waits for its end. */
  kill(name: NodeJS.Signals): Promise<Exit>;
  stop(): Promise<void>;
}

/** The part of our environment that a child needs: PATH, and Node's cache of compiled modules, which halves its start. */
export function inheritedEnv(): Record<string, string> {
  const { PATH = '', HOME = '', NODE_COMPILE_CACHE } = process.env;
  return { PATH, HOME, ...(NODE_COMPILE_CACHE !== undefined && { NODE_COMPILE_CACHE }) };
}

export interface ChildOptions {
  /** Node if absent. */
  readonly command?: string;
  readonly args: readonly string[];
  /** Beside {@link inheritedEnv}: nothing else of our environment leaks into the child. */
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

/** Starts a process in a group of its own, so that Ctrl-C at the terminal reaches it only through us. */
export async function startChild({ command = process.execPath, args, env = {}, cwd }: ChildOptions): Promise<Child> {
  if (ending) throw new Error('the run is ending');
  const child = spawn(command, args, {
    env: { ...inheritedEnv(), ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
    ...(cwd !== undefined && { cwd }),
  });
  const output = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (chunk) => {
      output[name] = (output[name] + chunk).slice(-MAX_OUTPUT_CHARS);
    });
  }
  const exit = new Promise<Exit>((resolve) => {
    child.once('close', (code, signal) => resolve({ code, signal, ...output }));
  });
  await once(child, 'spawn');
  const { pid } = child;
  if (pid === undefined) throw new Error(`${command} did not start`);
  const spare = reap({ pid });
  const hasEnded = () => child.exitCode !== null || child.signalCode !== null;
  const stop = atEnd(async () => {
    if (hasEnded()) return;
    child.kill('SIGTERM');
    const late = setTimeout(() => child.kill('SIGKILL'), STOP_WITHIN_MS);
    await exit;
    clearTimeout(late);
  });
  void exit.then(() => {
    spare();
    forget(stop);
  });
  return {
    pid,
    stdout: () => output.stdout,
    stderr: () => output.stderr,
    hasEnded,
    exit,
    signal: (name) => child.kill(name),
    kill(name) {
      child.kill(name);
      return exit;
    },
    stop,
  };
}

/** Runs a command to its end. The exit code is null if it took too long. */
export async function runWithin(options: ChildOptions, timeoutMs: number): Promise<Exit> {
  const child = await startChild(options);
  const late = setTimeout(() => child.signal('SIGKILL'), timeoutMs);
  return child.exit.finally(() => clearTimeout(late));
}

/** Whether a command is on the PATH. */
export async function isInstalled(command: string): Promise<boolean> {
  const { code } = await runWithin({ command: 'sh', args: ['-c', `command -v ${command}`] }, 5_000);
  return code === 0;
}

/** From Linux's own lists, because a minimal system has no `ps`. */
async function parentsFromProc(): Promise<readonly (readonly [child: number, parent: number])[]> {
  return Array.from(await readStats(), ([pid, { parent }]) => [pid, parent] as const);
}

async function parentsFromPs(): Promise<readonly (readonly [child: number, parent: number])[]> {
  const { stdout } = await run('ps', ['-A', '-o', 'pid=,ppid=']);
  return stdout.split('\n').map((line) => {
    const [child = Number.NaN, parent = Number.NaN] = line.trim().split(/\s+/).map(Number);
    return [child, parent] as const;
  });
}

/** The processes whose parent is `pid`. */
export async function childrenOf(pid: number): Promise<number[]> {
  const all = await (process.platform === 'linux' ? parentsFromProc() : parentsFromPs());
  return all.filter(([, parent]) => parent === pid).map(([child]) => child);
}

/** False when there is no such process any more. */
export function signalPid(pid: number, signal: NodeJS.Signals | 0): boolean {
  // The system takes 0 and less as process groups, including ours; 1 is the first process.
  if (!Number.isInteger(pid) || pid <= 1) throw new Error(`${pid} is no process of ours`);
  try {
    process.kill(pid, signal);
    return true;
  } catch {
    return false;
  }
}

export function isAlive(pid: number): boolean {
  return signalPid(pid, 0);
}

/** Bytes a process holds in memory; undefined where the system does not say, or it has ended. */
export async function residentBytes(pid: number): Promise<number | undefined> {
  if (process.platform === 'linux') return residentBytesOf(pid);
  const { stdout } = await run('ps', ['-o', 'rss=', '-p', String(pid)]).catch(() => ({ stdout: '' }));
  const kibibytes = Number.parseInt(stdout, 10);
  return Number.isNaN(kibibytes) ? undefined : kibibytes * 1024;
}
