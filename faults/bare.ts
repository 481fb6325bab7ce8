import { access, chmod, cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { atEnd, isInstalled, run, runWithin } from '@kohort/testkit/processes.ts';
import { reap } from '@kohort/testkit/reaper.ts';

const REPOSITORY = join(import.meta.dirname, '..');
const SUITE = 'bookworm';
const bootstrapTimeoutMs = 600_000;
const commandsTimeoutMs = 900_000;
const PORT = 8123;

/** The commands that a newcomer types, in a system with Node, npm and nothing else that Kohort needs. */
const COMMANDS = `
set -eu
cd /srv/kohort
node --version
npm ci --prefer-offline --no-audit --no-fund
PORT=${PORT} DATA_DIR=/tmp/data npm start &
npm=$!
ask='const ask = async (method, path, body) => {
  const answer = await fetch("http://127.0.0.1:${PORT}" + path, { method, headers: { "content-type": "application/json" }, body });
  return answer.status + " " + await answer.text();
};'
i=0
until node -e "$ask ask('GET', '/readyz').then((a) => process.exit(a.startsWith('200') ? 0 : 1), () => process.exit(1))"; do
  i=$((i + 1)); [ $i -lt 240 ]; sleep 0.5
done
node -e "$ask (async () => {
  console.log(await ask('POST', '/api/segments', '{\\"slug\\":\\"A\\"}'));
  console.log(await ask('POST', '/api/users/1/segments', '{\\"slug\\":\\"A\\"}'));
  console.log('ANSWER ' + await ask('GET', '/api/users/1/segments'));
})()"
kill -TERM $npm
wait $npm || true
npm test -- --project unit
npm test -- acceptance/seed
`;

/** Why a minimal Debian cannot be set up here; undefined if it can. */
export async function obstacle(): Promise<string | undefined> {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return 'only root on Linux can change the root folder';
  for (const command of ['debootstrap', 'unshare', 'npm', 'git']) {
    if (!(await isInstalled(command))) return `${command} is not installed`;
  }
  if ((await mirror()) === undefined) return 'apt names no mirror of Debian';
  return undefined;
}

/** The mirror that this machine's apt uses. */
async function mirror(): Promise<string | undefined> {
  const folder = '/etc/apt/sources.list.d';
  const files = (await readdir(folder).catch((): string[] => [])).map((name) => join(folder, name));
  const texts = await Promise.all(
    ['/etc/apt/sources.list', ...files].map((file) => readFile(file, 'utf8').catch(() => '')),
  );
  const urls = texts.flatMap((text) =>
    [...text.matchAll(/^(?:URIs:|deb(?: \[.*\])?)\s+(https?:\S+)/gm)].map(([, url]) => url),
  );
  return urls.find((url) => /\/debian\/?$/.test(url ?? ''));
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

/** Sets up a minimal Debian with npm and the checked-out commit, without Node. */
export async function createRoot(): Promise<string> {
  const root = await mkdtemp(join(tmpdir(), 'kohort-bare-'));
  await chmod(root, 0o755);
  reap({ folder: root });
  atEnd(() => rm(root, { recursive: true, force: true, maxRetries: 5 }));
  const args = ['--variant=minbase', SUITE, root, (await mirror()) ?? ''];
  const { code, stdout } = await runWithin({ command: 'debootstrap', args, env: sbin() }, bootstrapTimeoutMs);
  if (code !== 0) throw new Error(`debootstrap ended with ${code}: ${stdout.slice(-500)}`);
  const npm = (await run('npm', ['root', '--global'])).stdout.trim();
  await mkdir(join(root, 'opt/bin'), { recursive: true });
  await cp(join(npm, 'npm'), join(root, 'opt/npm'), { recursive: true });
  await writeFile(join(root, 'opt/bin/npm'), '#!/bin/sh\nexec node /opt/npm/bin/npm-cli.js "$@"\n', { mode: 0o755 });
  await writeFile(join(root, 'opt/commands.sh'), COMMANDS);
  const certificates = '/etc/ssl/certs/ca-certificates.crt';
  if (await exists(certificates)) await cp(certificates, join(root, 'opt/certificates.pem'), { dereference: true });
  return root;
}

/** Installs a Node of that version into the root folder, from its npm package. */
async function installNode(root: string, version: string): Promise<void> {
  const folder = join(root, 'opt', `node-${version}`);
  if (!(await exists(folder))) {
    await mkdir(folder);
    const name = `node-linux-${process.arch}@${version}`;
    const packed = (await run('npm', ['pack', '--silent', '--prefer-offline', '--pack-destination', folder, name]))
      .stdout;
    await run('tar', ['xzf', join(folder, packed.trim()), '-C', folder, '--strip-components=1', 'package/bin']);
    await rm(join(folder, packed.trim()));
  }
  await rm(join(root, 'opt/bin/node'), { force: true });
  await symlink(`/opt/node-${version}/bin/node`, join(root, 'opt/bin/node'));
}

function sbin(): Record<string, string> {
  return { PATH: `${process.env.PATH}:/usr/sbin:/sbin` };
}

export interface Tried {
  readonly code: number | null;
  readonly output: string;
}

/**
 * Runs the commands under that Node, with a root folder and a process namespace of their own: everything that they started ends
 * with them. PATH does not name the folders of root's programs.
 */
export async function tryCommands(root: string, version: string): Promise<Tried> {
  await installNode(root, version);
  const clone = join(root, 'srv/kohort');
  await rm(clone, { recursive: true, force: true });
  await mkdir(clone, { recursive: true });
  await run('sh', ['-c', `git -C '${REPOSITORY}' archive HEAD | tar x -C '${clone}'`]);
  const cache = (await run('npm', ['config', 'get', 'cache'])).stdout.trim();
  const registry = (await run('npm', ['config', 'get', 'registry'])).stdout.trim();
  const inside = [
    'HOME=/root',
    'PATH=/opt/bin:/usr/bin:/bin',
    'NODE_EXTRA_CA_CERTS=/opt/certificates.pem',
    'npm_config_cache=/opt/cache',
    `npm_config_registry=${registry}`,
  ];
  const script = `
    set -e
    mkdir -p "$1/opt/cache"
    mount --rbind /dev "$1/dev"; mount -t proc proc "$1/proc"; mount -t tmpfs tmpfs "$1/tmp"; chmod 1777 "$1/tmp"
    mount --bind "$2" "$1/opt/cache"; cp /etc/resolv.conf /etc/hosts "$1/etc/"
    shift 2; exec "$@"`;
  const own = ['--mount', '--pid', '--fork', '--kill-child'];
  const args = [...own, 'sh', '-c', script, 'sh', root, cache, 'env', '-i', ...inside, '/usr/sbin/chroot', root];
  const { code, stdout, stderr } = await runWithin(
    { command: 'unshare', args: [...args, '/bin/sh', '/opt/commands.sh'], env: sbin() },
    commandsTimeoutMs,
  );
  return { code, output: `${stdout}\n${stderr}` };
}
