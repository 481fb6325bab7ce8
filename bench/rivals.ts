import { join } from 'node:path';
import { freePort } from '@kohort/embedded/free-port.ts';
import { type ChildOptions, isInstalled, runWithin, startChild } from '@kohort/testkit/processes.ts';
import { type Target, untilAnswered } from './service.ts';

const PEER_SOURCE = join(import.meta.dirname, 'peer');
const BARE = join(import.meta.dirname, 'bare.ts');
const DEBIAN_SOURCES = '/usr/share/gocode';
const BUILD_TIMEOUT_MS = 300_000;
export const PACKAGES = 'golang-go golang-github-gin-gonic-gin-dev golang-github-jackc-pgx-v4-dev';

/** Compiles the peer into the folder. @returns the reason when that cannot be done here. */
export async function buildPeer(folder: string): Promise<{ binary: string } | { missing: string }> {
  if (!(await isInstalled('go'))) return { missing: `Go is not installed: apt-get install ${PACKAGES}` };
  const binary = join(folder, 'peer');
  const { code, stderr } = await runWithin(
    {
      command: 'go',
      args: ['build', '-o', binary, '.'],
      cwd: PEER_SOURCE,
      env: { GO111MODULE: 'off', GOPATH: DEBIAN_SOURCES, GOFLAGS: '' },
    },
    BUILD_TIMEOUT_MS,
  );
  if (code === 0) return { binary };
  return {
    missing: `the peer does not compile (${stderr.trim().split('\n').slice(0, 3).join(' | ')}); it needs: apt-get install ${PACKAGES}`,
  };
}

async function startOn(path: string, optionsFor: (port: number) => ChildOptions): Promise<Target> {
  const port = await freePort();
  const child = await startChild(optionsFor(port));
  const url = `http://127.0.0.1:${port}`;
  await untilAnswered(child, `${url}${path}`);
  return { url, pid: child.pid, stop: child.stop };
}

export async function startPeer(binary: string, databaseUrl: string): Promise<Target> {
  return startOn('/api/users/1/segments', (port) => ({
    command: binary,
    args: [],
    // PGAPPNAME names the connections of another peer, which sets no name itself.
    env: { GIN_MODE: 'release', PORT: String(port), DATABASE_URL: databaseUrl, PGAPPNAME: 'peer' },
  }));
}

export async function startBare(processes = 1): Promise<Target> {
  return startOn('/', (port) => ({
    args: [BARE],
    env: { PORT: String(port), PROCESSES: String(processes), NODE_ENV: 'production' },
  }));
}
