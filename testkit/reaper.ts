import { spawn } from 'node:child_process';
import { join } from 'node:path';

/**
 * Tests end what they start. This is for tests that cannot: their process was killed. A small process per process of ours holds
 * one end of a pipe; when the pipe closes, it ends what is still registered.
 */
export type Left =
  /** A process, and its group if it leads one. */
  | { readonly pid: number }
  /** A PostgreSQL, by the folder of its data. */
  | { readonly cluster: string }
  /** A folder to remove, once nothing uses it. */
  | { readonly folder: string };

const PROCESS = join(import.meta.dirname, 'reaper.process.ts');
let pipe: { write(line: string): void } | undefined;
let count = 0;

function open(): { write(line: string): void } {
  const { PATH = '' } = process.env;
  const child = spawn(process.execPath, [PROCESS], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
    env: { PATH },
  });
  child.unref();
  // Without it, what is left when we are killed stays; nothing else depends on it.
  child.on('error', () => undefined);
  const { stdin } = child;
  // It must not keep this process alive, and its end does not matter.
  stdin.on('error', () => undefined);
  if ('unref' in stdin && typeof stdin.unref === 'function') stdin.unref();
  return stdin;
}

/** Registers something that must not outlive this process. @returns the function that takes it off the list. */
export function reap(left: Left): () => void {
  pipe ??= open();
  const id = ++count;
  pipe.write(`${JSON.stringify({ id, left })}\n`);
  return () => pipe?.write(`${JSON.stringify({ id })}\n`);
}
