import { chown, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { codeOf } from './error.ts';
import type { Identity, Runner } from './run-as.ts';

const START_TIMEOUT_S = 60;

export async function readIfThere(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

export interface NewCluster {
  /** Exists, is empty, and belongs to the user that PostgreSQL runs as. */
  readonly folder: string;
  readonly superuser: string;
  readonly password: string;
  /** Further arguments of `initdb`: encoding, locale, the folder of the write-ahead log. */
  readonly args: readonly string[];
}

/** Creates a cluster with password authentication. */
export async function initCluster(
  runAs: Runner,
  initdb: string,
  identity: Identity | undefined,
  { folder, superuser, password, args }: NewCluster,
): Promise<void> {
  const passwordFile = `${folder}.password`;
  try {
    await writeFile(passwordFile, password, { mode: 0o600 });
    if (identity) await chown(passwordFile, identity.uid, identity.gid);
    await runAs(initdb, [
      `--pgdata=${folder}`,
      `--username=${superuser}`,
      `--pwfile=${passwordFile}`,
      '--auth=scram-sha-256',
      ...args,
    ]);
  } finally {
    await rm(passwordFile, { force: true });
  }
}

export interface StartOptions {
  readonly folder: string;
  readonly logFile: string;
  readonly port: number;
  /** Settings of postgresql.conf for this start. */
  readonly settings?: Readonly<Record<string, string>>;
}

/** Starts PostgreSQL on 127.0.0.1 only, and waits until it accepts connections. */
export async function startCluster(
  runAs: Runner,
  pgCtl: string,
  { folder, logFile, port, settings = {} }: StartOptions,
): Promise<void> {
  const all = { port: String(port), listen_addresses: '127.0.0.1', unix_socket_directories: '', ...settings };
  const options = Object.entries(all)
    .map(([name, value]) => `-c ${name}='${value}'`)
    .join(' ');
  await runAs(pgCtl, ['-D', folder, '-l', logFile, '-w', '-t', String(START_TIMEOUT_S), '-o', options, 'start']);
}

export async function stopCluster(
  runAs: Runner,
  pgCtl: string,
  folder: string,
  mode: 'fast' | 'immediate' = 'fast',
): Promise<void> {
  await runAs(pgCtl, ['-D', folder, '-w', '-t', String(START_TIMEOUT_S), '-m', mode, 'stop']);
}

/** What the pid file of a cluster says, whether or not its postmaster is still alive. */
export async function readPidFile(folder: string): Promise<{ pid: number; port: number } | undefined> {
  const lines = (await readIfThere(join(folder, 'postmaster.pid')))?.split('\n') ?? [];
  const [pid, port] = [Number(lines[0]), Number(lines[3])];
  return pid > 1 && port > 0 ? { pid, port } : undefined;
}
