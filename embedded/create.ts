import { randomBytes } from 'node:crypto';
import { chown, mkdtemp, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { initCluster, readIfThere } from './cluster.ts';
import { codeOf, EmbeddedError, wordsOf } from './error.ts';
import type { Identity, Runner } from './run-as.ts';

export const SUPERUSER = 'kohort';
/** The file is in the data folder that it gives access to; PostgreSQL ignores files that it does not know. */
const PASSWORD_FILE = 'kohort-password';
const DRAFT_MAX_AGE_MS = 10 * 60_000;
// The builtin locale sorts text the same on every machine, whatever locales its libc has installed.
const LOCALE = ['--encoding=UTF8', '--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8'];

/** Reads the password of an embedded cluster. @throws EmbeddedError when the folder holds a cluster that Kohort did not create. */
export async function readPassword(cluster: string): Promise<string> {
  const password = (await readIfThere(join(cluster, PASSWORD_FILE)))?.trim();
  if (password !== undefined) return password;
  throw new EmbeddedError(`${cluster} holds a PostgreSQL cluster that Kohort did not create. Set another DATA_DIR.`);
}

/** Removes what is left of first starts that were killed half-way. */
async function sweepDrafts(cluster: string): Promise<void> {
  for (const name of await readdir(dirname(cluster))) {
    if (!name.startsWith(`${basename(cluster)}.new-`)) continue;
    const draft = join(dirname(cluster), name);
    const { mtimeMs } = await stat(draft).catch(() => ({ mtimeMs: Number.POSITIVE_INFINITY }));
    if (Date.now() - mtimeMs > DRAFT_MAX_AGE_MS) await rm(draft, { recursive: true, force: true });
  }
}

/**
 * Creates the cluster beside its place and moves it there when it is complete: a start that is killed half-way leaves no broken
 * cluster, and of two first starts at once the later one finds what the earlier one created. The password moves with it.
 */
export async function createIfMissing(
  runAs: Runner,
  initdb: string,
  identity: Identity | undefined,
  cluster: string,
): Promise<void> {
  if ((await readIfThere(join(cluster, 'PG_VERSION'))) !== undefined) return;
  await sweepDrafts(cluster);
  const draft = await mkdtemp(`${cluster}.new-`);
  const password = randomBytes(24).toString('base64url');
  try {
    if (identity) await chown(draft, identity.uid, identity.gid);
    await initCluster(runAs, initdb, identity, { folder: draft, superuser: SUPERUSER, password, args: LOCALE });
    const passwordFile = join(draft, PASSWORD_FILE);
    await writeFile(passwordFile, password, { mode: 0o600 });
    if (identity) await chown(passwordFile, identity.uid, identity.gid);
    await rename(draft, cluster);
  } catch (error) {
    await rm(draft, { recursive: true, force: true });
    const isThere = codeOf(error) === 'ENOTEMPTY' || codeOf(error) === 'EEXIST';
    if (isThere) return;
    if (error instanceof EmbeddedError) throw error;
    throw new EmbeddedError(`The embedded PostgreSQL cannot be set up in ${cluster}: ${wordsOf(error)}`);
  }
}
