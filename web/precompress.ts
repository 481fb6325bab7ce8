import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { brotliCompress, constants, gzip } from 'node:zlib';
import type { Plugin } from 'vite';

/** Below this the headers of an answer weigh more than what is saved. */
const worthwhileBytes = 1_000;
/** Of 11: the last two steps take seconds and save a hundredth. */
const brotliQuality = 9;

const withGzip = promisify(gzip);
const withBrotli = promisify(brotliCompress);

async function compress(file: string): Promise<void> {
  const bytes = await readFile(file);
  if (bytes.length < worthwhileBytes) return;
  const params = { [constants.BROTLI_PARAM_QUALITY]: brotliQuality };
  await Promise.all([
    withGzip(bytes, { level: constants.Z_BEST_COMPRESSION }).then((packed) => writeFile(`${file}.gz`, packed)),
    withBrotli(bytes, { params }).then((packed) => writeFile(`${file}.br`, packed)),
  ]);
}

/** Writes each script and style sheet in compressed forms too, which the service sends to whoever takes them. */
export function precompress(): Plugin {
  return {
    name: 'precompress',
    apply: 'build',
    async writeBundle({ dir = '.' }, bundle) {
      const names = Object.keys(bundle).filter((name) => /\.(?:js|css)$/.test(name));
      await Promise.all(names.map((name) => compress(join(dir, name))));
    },
  };
}
