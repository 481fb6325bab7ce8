import { execFile } from 'node:child_process';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { temporaryFolder } from '@kohort/testkit/folder.ts';
import { afterAll, beforeAll, expect, it } from 'vitest';

const run = promisify(execFile);
const check = (folder: string) =>
  run(process.execPath, ['scripts/check-imports.ts', folder]).then(
    () => ({ code: 0, stderr: '' }),
    ({ code, stderr }: { code: number; stderr: string }) => ({ code, stderr }),
  );

let folder: string;
beforeAll(async () => {
  folder = await temporaryFolder('imports');
});
afterAll(() => rm(folder, { recursive: true }));

async function plant(path: string, text: string): Promise<void> {
  await mkdir(join(folder, dirname(path)), { recursive: true });
  await writeFile(join(folder, path), text);
}

it('passes a tree that keeps the rules, and says which file breaks which', async () => {
  await plant('server/src/features/users/users.ts', "import { x } from '../fences/fences.ts';\n");
  await plant('node_modules/other/server/src/http/x.ts', "import { x } from '../features/y/y.ts';\n");
  expect(await check(folder)).toEqual({ code: 0, stderr: '' });
  await plant('server/src/http/x.ts', "import { x } from '../features/users/users.ts';\n");
  expect(await check(folder)).toEqual({
    code: 1,
    stderr:
      'server/src/http/x.ts imports server/src/features/users/users.ts: http/ knows neither features nor the database.\n',
  });
});

it('is part of npm run check', async () => {
  expect(JSON.parse(await readFile('package.json', 'utf8')).scripts.check).toContain('scripts/check-imports.ts');
});
