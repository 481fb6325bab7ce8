// Holds the tree to the rules of imports.ts: `node scripts/run.mjs scripts/check-imports.ts [FOLDER]`.
import { globSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { violationsIn } from './imports.ts';

const root = resolve(process.argv[2] ?? '.');
const paths = globSync('**/*.{ts,tsx}', {
  cwd: root,
  exclude: (name) => /(?:^|\/)(?:node_modules|dist|\..*)$/.test(name),
});
const found = violationsIn(paths.map((path) => ({ path, text: readFileSync(join(root, path), 'utf8') })));

for (const { path, imports, rule } of found) process.stderr.write(`${path} imports ${imports}: ${rule}\n`);
process.exitCode = found.length === 0 ? 0 : 1;
