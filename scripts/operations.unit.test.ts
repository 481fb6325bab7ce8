import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';

const root = join(import.meta.dirname, '..');
const read = (path: string) => readFileSync(join(root, path), 'utf8');
const guides = ['operations', 'webhooks'].map((name) => read(`docs/${name}.md`)).join('\n');
const sources = globSync('server/src/**/*.ts', { cwd: root, exclude: (name) => name.endsWith('.test.ts') }).map(read);

/** What the first group of a pattern finds in the sources of the server. */
const found = (pattern: RegExp) => [
  ...new Set(sources.flatMap((text) => [...text.matchAll(pattern)].map(([, name = '']) => name))),
];
const isMissing = (name: string) => !guides.includes(`\`${name}\``) && !guides.includes(`\`${name}{`);

it('the guides explain every text that is logged for an error', () => {
  const texts = found(/\bonError\([^,()]+, '([^']+)'\)/g);
  expect(texts.length).toBeGreaterThan(10);
  expect(texts.filter(isMissing)).toEqual([]);
});

it('the guides explain every metric', () => {
  const names = found(/name: '(kohort_[a-z_]+)'/g);
  expect(names.length).toBeGreaterThan(15);
  expect(names.filter(isMissing)).toEqual([]);
});

it('the guides explain every kind of job', () => {
  const kinds = [
    ...read('server/src/background-jobs.ts').matchAll(/^ {4}([a-z]+(?:_[a-z]+)*):/gm),
    ...read('server/src/features/imports/imports.ts').matchAll(/^ {4}([a-z]+(?:_[a-z]+)+):/gm),
  ].map(([, kind = '']) => kind);
  expect(kinds.length).toBeGreaterThan(10);
  expect(kinds.filter(isMissing)).toEqual([]);
});
