import { readdir } from 'node:fs/promises';
import { availableParallelism, cpus, release, totalmem } from 'node:os';
import { join } from 'node:path';
import { runWithin } from '@kohort/testkit/processes.ts';
import type { Machine } from './report.ts';

const ROOT = join(import.meta.dirname, '..');
const GIT_TIMEOUT_MS = 10_000;

export function describeMachine(): Machine {
  return {
    processor: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    memory: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
  };
}

/** The short hash, with `-dirty` appended if the tree has changes; `unknown` outside a clone. */
export async function readCommit(): Promise<string> {
  const git = async (...args: string[]) => {
    const { code, stdout } = await runWithin(
      { command: 'git', args: ['--no-optional-locks', '-C', ROOT, ...args] },
      GIT_TIMEOUT_MS,
    );
    if (code !== 0) throw new Error('not a clone');
    return stdout.trim();
  };
  try {
    const commit = await git('rev-parse', '--short', 'HEAD');
    return (await git('status', '--porcelain')) === '' ? commit : `${commit}-dirty`;
  } catch {
    return 'unknown';
  }
}

/** The version of the newest migration. */
export async function readNewestSchema(): Promise<number> {
  const files = await readdir(join(ROOT, 'schema'));
  return Math.max(...files.map((file) => Number.parseInt(file, 10)).filter(Number.isInteger));
}
