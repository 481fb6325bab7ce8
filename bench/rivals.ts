import { join } from 'node:path';
import { freePort, isInstalled, run, startProcess, waitUntilReady } from './processes.ts';
import type { Target } from './service.ts';

const PEER_SOURCE = join(import.meta.dirname, 'peer');
const BARE = join(import.meta.dirname, 'bare.ts');
const DEBIAN_SOURCES = '/usr/share/gocode';
export const PACKAGES = 'golang-go golang-github-gin-gonic-gin-dev golang-github-jackc-pgx-v4-dev';

/** Compiles the peer into the folder. @returns the reason when that cannot be done here. */
export async function buildPeer(folder: string): Promise<{ binary: string } | { missing: string }> {
  if (!(await isInstalled('go'))) return { missing: `Go is not installed: apt-get install ${PACKAGES}` };
  const binary = join(folder, 'peer');
  const { code, stderr } = await run('go', ['build', '-o', binary, '.'], {
    cwd: PEER_SOURCE,
    env: { GO111MODULE: 'off', GOPATH: DEBIAN_SOURCES, GOFLAGS: '' },
    timeout: 300_000,
  });
  if (code === 0) return { binary };
  return {
    missing: `the peer does not compile (${stderr.trim().split('\n').slice(0, 3).join(' | ')}); it needs: apt-get install ${PACKAGES}`,
  };
}

export async function startPeer(binary: string, databaseUrl: string): Promise<Target> {
  const port = await freePort();
  const started = await startProcess({
    command: binary,
    args: [],
    env: {
      GIN_MODE: 'release',
      PORT: String(port),
      DATABASE_URL: databaseUrl,
      // For a peer of another make, which does not say who it is.
      PGAPPNAME: 'peer',
    },
  });
  const url = `http://127.0.0.1:${port}`;
  await waitUntilReady(started, `${url}/api/users/1/segments`);
  return { url, pid: started.pid, stop: started.stop };
}

export async function startBare(): Promise<Target> {
  const port = await freePort();
  const started = await startProcess({
    command: process.execPath,
    args: [BARE],
    env: { PORT: String(port), NODE_ENV: 'production' },
  });
  const url = `http://127.0.0.1:${port}`;
  await waitUntilReady(started, url);
  return { url, pid: started.pid, stop: started.stop };
}
