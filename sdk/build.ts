import { execFileSync } from 'node:child_process';
import { copyFile, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { rolldown } from 'rolldown';

/** What `npm pack` packs: plain JavaScript with types, for browsers too, the command line as one file, and the licence. */
const root = join(import.meta.dirname, '..');
const dist = join(import.meta.dirname, 'dist');

await rm(dist, { recursive: true, force: true });
execFileSync(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', 'tsconfig.build.json'], {
  cwd: import.meta.dirname,
  stdio: 'inherit',
});

// With the libraries it uses, so that the package brings nothing else along.
const bundle = await rolldown({
  input: join(import.meta.dirname, 'src/cli/main.ts'),
  platform: 'node',
  external: ['@opentelemetry/api'],
});
await bundle.write({
  file: join(dist, 'kohort.js'),
  format: 'esm',
  banner: '#!/usr/bin/env node',
});
await bundle.close();
const BUNDLED = ['commander', 'yaml'];
const licences = BUNDLED.map(async (name) => {
  const licence = await readFile(join(root, 'node_modules', name, 'LICENSE'), 'utf8');
  return `kohort.js contains ${name}:\n\n${licence}`;
});
await writeFile(join(dist, 'LICENSE-OF-OTHERS'), (await Promise.all(licences)).join('\n'));
await copyFile(join(root, 'LICENSE'), join(dist, 'LICENSE'));
