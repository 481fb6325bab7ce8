import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { promisify } from 'node:util';

export const run = promisify(execFile);

type Undo = () => Promise<void>;

const undos: Undo[] = [];
const STOP_WITHIN = 30_000;

/** Remembers what has to be ended or taken away, whatever the run ends by. Calling it twice does it once. */
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
  for (let undo = undos.pop(); undo; undo = undos.pop()) {
    await undo().catch((error) => process.stderr.write(`while ending: ${error}\n`));
  }
}

export function say(line: string): void {
  process.stderr.write(`${line}\n`);
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

export interface Child {
  readonly pid: number;
  /** What it wrote, the last few kilobytes. */
  readonly output: () => string;
  readonly hasEnded: () => boolean;
  /** The exit code; null when a signal ended it. */
  readonly ended: Promise<number | null>;
  /** False when it was not there to be told. */
  signal(name: NodeJS.Signals): boolean;
  stop(): Promise<void>;
}

/** A process of ours, in a group of its own so that Ctrl-C at the terminal reaches it through us alone. */
export async function startChild(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Child> {
  const child = spawn(process.execPath, args, {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  let output = '';
  const keep = (chunk: Buffer) => {
    output = (output + chunk.toString()).slice(-65_536);
  };
  child.stdout.on('data', keep);
  child.stderr.on('data', keep);
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  await once(child, 'spawn');
  const { pid } = child;
  if (pid === undefined) throw new Error('node did not start');
  const hasEnded = () => child.exitCode !== null || child.signalCode !== null;
  const stop = atEnd(async () => {
    if (hasEnded()) return;
    child.kill('SIGTERM');
    const late = setTimeout(() => child.kill('SIGKILL'), STOP_WITHIN);
    await ended;
    clearTimeout(late);
  });
  return { pid, output: () => output, hasEnded, ended, signal: (name) => child.kill(name), stop };
}

/** The processes whose parent is `pid`. */
export async function childrenOf(pid: number): Promise<number[]> {
  const { stdout } = await run('ps', ['-A', '-o', 'pid=,ppid=']);
  return stdout.split('\n').flatMap((line) => {
    const [child, parent] = line.trim().split(/\s+/).map(Number);
    return parent === pid && child !== undefined ? [child] : [];
  });
}

/** False when there is no such process any more. */
export function signalPid(pid: number, signal: NodeJS.Signals | 0): boolean {
  // To the system 0 and less are groups, our own among them, and 1 is everybody's parent.
  if (!Number.isInteger(pid) || pid <= 1) throw new Error(`${pid} is no process of ours`);
  try {
    process.kill(pid, signal);
    return true;
  } catch {
    return false;
  }
}

/** Bytes a process holds in memory; undefined where the system does not say, or it is gone. */
export async function residentBytes(pid: number): Promise<number | undefined> {
  const kibibytes = await run('ps', ['-o', 'rss=', '-p', String(pid)]).then(
    ({ stdout }) => Number(stdout.trim()),
    () => Number.NaN,
  );
  return Number.isFinite(kibibytes) ? kibibytes * 1024 : undefined;
}
