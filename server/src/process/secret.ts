import { randomBytes } from 'node:crypto';
import { link, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ConfigError } from '../config.ts';
import { codeOf } from './refusals.ts';

const secretBytes = 48;

/** The secret of evaluation mode: drawn once and kept beside the data, so that sessions outlive a restart. */
export async function drawSecret(dataDir: string): Promise<string> {
  const file = join(dataDir, 'jwt-secret');
  try {
    await mkdir(dataDir, { recursive: true });
    // Written whole, then linked: exactly one of several first starts wins, and the others read what it drew.
    const draft = `${file}.${process.pid}`;
    await writeFile(draft, randomBytes(secretBytes).toString('base64url'), { mode: 0o600 });
    await link(draft, file).catch((error) => {
      if (codeOf(error) !== 'EEXIST') throw error;
    });
    await rm(draft);
    return (await readFile(file, 'utf8')).trim();
  } catch (error) {
    throw new ConfigError(`DATA_DIR ${dataDir} cannot be used: ${error instanceof Error ? error.message : error}.`);
  }
}
