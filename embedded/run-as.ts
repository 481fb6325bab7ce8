import { execFile } from 'node:child_process';
import { stat } from 'node:fs/promises';
import { delimiter, dirname } from 'node:path';
import { promisify } from 'node:util';
import { codeOf, EmbeddedError, wordsOf } from './error.ts';

const run = promisify(execFile);

export interface Identity {
  readonly uid: number;
  readonly gid: number;
}

export type Runner = (file: string, args: readonly string[]) => Promise<void>;

const SYSTEM_USER = 'postgres';
const RUN_TIMEOUT_MS = 120_000;
const MAX_OUTPUT_BYTES = 16 * 1024 * 1024;
/** Where `useradd` and `setpriv` are; root's PATH does not always name them. */
const SYSTEM_FOLDERS = ['/usr/local/sbin', '/usr/sbin', '/usr/bin', '/sbin', '/bin'];
const PASSED_ON = ['HOME', 'LD_LIBRARY_PATH', 'TMPDIR', 'TZ', 'SystemRoot', 'TEMP', 'TMP', 'USERPROFILE'];

/** Only what PostgreSQL needs: the service's environment holds passwords, and /proc shows a process's environment to its owner. */
function environment(): Record<string, string> {
  const { PATH = '' } = process.env;
  const passedOn = PASSED_ON.flatMap((name) => {
    const value = process.env[name];
    return value === undefined ? [] : [[name, value]];
  });
  const folders = process.platform === 'win32' ? [] : SYSTEM_FOLDERS;
  return { ...Object.fromEntries(passedOn), PATH: [PATH, ...folders].join(delimiter), LC_ALL: 'C', LC_MESSAGES: 'C' };
}

async function readIdentity(): Promise<Identity> {
  const id = async (flag: '-u' | '-g') => Number((await run('id', [flag, SYSTEM_USER], { env: environment() })).stdout);
  return { uid: await id('-u'), gid: await id('-g') };
}

/**
 * PostgreSQL refuses to run as root, so root runs it as the system user `postgres`, creating that user if needed.
 * @throws EmbeddedError when the user can neither be found nor created.
 */
export async function systemUser(): Promise<Identity | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  try {
    return await readIdentity();
  } catch {
    const args = ['--system', '--user-group', '--no-create-home', '--shell', '/usr/sbin/nologin', SYSTEM_USER];
    const failure = await run('useradd', args, { env: environment() }).catch((error: unknown) => error);
    // Another start may have created the user meanwhile.
    return await readIdentity().catch(() => {
      const cause = codeOf(failure) === 'ENOENT' ? 'useradd is not installed' : wordsOf(failure);
      throw new EmbeddedError(
        `PostgreSQL does not run as root, and its system user "${SYSTEM_USER}" cannot be created (${cause}). Create that user, start Kohort as another user, or set DATABASE_URL.`,
      );
    });
  }
}

/** Whether every folder above `path` lets other users through: one in /root or in a private temporary folder does not. */
async function isReachable(path: string): Promise<boolean> {
  for (let folder = dirname(path); ; folder = dirname(folder)) {
    const { mode } = await stat(folder);
    if ((mode & 0o001) === 0) return false;
    if (folder === dirname(folder)) return true;
  }
}

/** Runs programs as that user, who must be able to reach `paths`. */
export async function runnerFor(identity: Identity | undefined, paths: readonly string[]): Promise<Runner> {
  const options = { env: environment(), cwd: '/', maxBuffer: MAX_OUTPUT_BYTES, timeout: RUN_TIMEOUT_MS };
  if (!identity) return async (file, args) => void (await run(file, args, options));
  const reachable = (await Promise.all(paths.map(isReachable))).every(Boolean);
  if (reachable) return async (file, args) => void (await run(file, args, { ...options, ...identity }));
  // The system user may not walk through those folders, but root can lend it the capability to pass by permission bits,
  // which survives the change of user.
  const lend = [
    `--reuid=${identity.uid}`,
    `--regid=${identity.gid}`,
    '--clear-groups',
    '--inh-caps=+dac_override',
    '--ambient-caps=+dac_override',
    // Without this bit access(2), with which initdb looks for its programs, ignores the capabilities of users other than root.
    '--securebits=+no_setuid_fixup',
  ];
  return async (file, args) => {
    await run('setpriv', [...lend, file, ...args], options).catch((error: unknown) => {
      if (codeOf(error) !== 'ENOENT') throw error;
      throw new EmbeddedError(
        `The user "${SYSTEM_USER}", as which PostgreSQL runs, cannot reach ${paths.join(' and ')}, and setpriv, which would let it, is not installed. Move Kohort and DATA_DIR out of private folders such as /root.`,
      );
    });
  };
}
