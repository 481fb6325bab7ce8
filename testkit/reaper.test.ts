import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { eventually } from './eventually.ts';
import { isAlive } from './processes.ts';
import { postmasterOf } from './service.ts';

const ROOT = join(import.meta.dirname, '..');
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kohort-killed-'));
  await mkdir(join(folder, 'tmp'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** The temporary folders of the run. */
async function foldersOf(): Promise<string[]> {
  const names = await readdir(join(folder, 'tmp'));
  return names.filter((name) => name.startsWith('kohort-')).map((name) => join(folder, 'tmp', name));
}

it('leaves no process and no folder behind when the test runner is killed in the middle', async () => {
  const started = join(folder, 'started.json');
  const vitest = spawn(
    process.execPath,
    [join(ROOT, 'node_modules/vitest/vitest.mjs'), 'run', '--config', 'testkit/fixtures/hanging.config.ts'],
    {
      cwd: ROOT,
      stdio: 'ignore',
      env: {
        PATH: process.env.PATH,
        HOME: process.env.HOME,
        TMPDIR: join(folder, 'tmp'),
        STARTED: started,
      },
    },
  );
  await eventually(() => readFile(started).then(() => true));
  const pids: number[] = JSON.parse(await readFile(started, 'utf8'));
  const folders = await foldersOf();
  const clusters = await Promise.all(folders.map((one) => postmasterOf(one)));
  pids.push(...clusters);
  // The test process, its service, the service's PostgreSQL, and that of the run.
  expect(new Set(pids).size).toBe(4);
  expect(pids.every(isAlive)).toBe(true);

  vitest.kill('SIGKILL');
  await once(vitest, 'exit');
  await eventually(() => !pids.some(isAlive));
  await eventually(async () => (await foldersOf()).length === 0);
});
