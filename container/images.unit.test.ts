import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';

const ROOT = join(import.meta.dirname, '..');
const PINNED = /^docker\.io\/library\/[a-z]+:[\w.-]+@sha256:[0-9a-f]{64}$/;
/** No published digest of it could be confirmed, and it serves evaluations alone. */
const BY_VERSION = 'docker.io/citusdata/citus:13.2.0';
/** Built by compose itself. */
const OWN = 'kohort:local';

const valuesIn = async (file: string, line: RegExp) =>
  [...(await readFile(join(ROOT, file), 'utf8')).matchAll(line)].map(([, value]) => value);

it('images from elsewhere are named by digest', async () => {
  const bases = await valuesIn('Dockerfile', /^ARG NODE=(\S+)$/gm);
  expect(bases).toEqual([expect.stringMatching(PINNED)]);
  const stages = await valuesIn('Dockerfile', /^FROM (\S+)/gm);
  expect(await valuesIn('Dockerfile', /^FROM \$\{(NODE)\}/gm)).toHaveLength(stages.length);

  const databases = (await valuesIn('compose.yaml', /^\s*image: (\S+)$/gm)).filter((image) => image !== OWN);
  expect(databases).toEqual([expect.stringMatching(PINNED)]);
  const distributed = (await valuesIn('compose.citus.yaml', /^\s*image: (\S+)$/gm)).filter((image) => image !== OWN);
  expect(new Set(distributed)).toEqual(new Set([BY_VERSION]));
});
