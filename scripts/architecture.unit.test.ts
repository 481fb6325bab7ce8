import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';

const root = join(import.meta.dirname, '..');
const text = readFileSync(join(root, 'ARCHITECTURE.md'), 'utf8');
const isIgnored = (name: string) => /(?:^|\/)(?:node_modules|dist|\.git)$/.test(name);
const files = globSync('**/*.*', { cwd: root, exclude: isIgnored }).map((path) => `/${path.replaceAll('\\', '/')}`);

const fileName = /^[\w./-]+\.(?:ts|tsx|mjs|md|json)$/;
const folderName = /^[\w./-]+\/$/;
/** Stand for any feature, and no path at all. */
const placeholders = new Set(['x.ts', 'x.sql.ts', 'x-on-workers.sql.ts', 'x.routes.ts', '/ui/']);

const inCode = [...text.matchAll(/`([^`\n]+)`/g)].map(([, code = '']) => code);
const inTree = (/```\n([\s\S]*?)```/.exec(text)?.[1] ?? '').split(/\s+/);
const isNamed = (code: string) => !placeholders.has(code);

it.each([...new Set([...inCode, ...inTree].filter((code) => fileName.test(code) && isNamed(code)))])(
  'the file %s exists',
  (name) => expect(files.filter((path) => path.endsWith(`/${name}`)).length).toBeGreaterThan(0),
);

it.each([...new Set([...inCode, ...inTree].filter((code) => folderName.test(code) && isNamed(code)))])(
  'the folder %s exists',
  (name) => expect(files.filter((path) => path.includes(`/${name}`)).length).toBeGreaterThan(0),
);

it('the functions that it names exist', () => {
  const names = new Set(inCode.filter((code) => /^[a-z]+(?:[A-Z][a-z]+)+$/.test(code)));
  const sources = files
    .filter((path) => /\.tsx?$/.test(path) && !path.includes('.test.'))
    .map((path) => readFileSync(join(root, path), 'utf8'));
  expect(names.size).toBeGreaterThan(30);
  expect([...names].filter((name) => !sources.some((source) => source.includes(name)))).toEqual([]);
});
