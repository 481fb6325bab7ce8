import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { endpoints } from '@kohort/contract';
import { openApiOf } from './http/openapi.ts';
import { version } from './version.ts';

/** Writes `openapi.json`. With `--check`, fails if the committed file differs. */
const file = join(import.meta.dirname, '../../openapi.json');
const document = `${JSON.stringify(openApiOf(endpoints, version), undefined, 2)}\n`;

if (process.argv.includes('--check')) {
  const committed = await readFile(file, 'utf8').catch(() => '');
  if (committed !== document) {
    process.stderr.write('openapi.json is not what the endpoints say: run npm run fix and commit it.\n');
    process.exit(1);
  }
} else {
  await writeFile(file, document);
}
