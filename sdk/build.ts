import { execFileSync } from 'node:child_process';
import { copyFile, rm } from 'node:fs/promises';
import { join } from 'node:path';

/** What `npm pack` packs: plain JavaScript with types, for browsers too, and the licence. */
const root = join(import.meta.dirname, '..');
const dist = join(import.meta.dirname, 'dist');

await rm(dist, { recursive: true, force: true });
execFileSync(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', 'tsconfig.build.json'], {
  cwd: import.meta.dirname,
  stdio: 'inherit',
});
await copyFile(join(root, 'LICENSE'), join(dist, 'LICENSE'));
