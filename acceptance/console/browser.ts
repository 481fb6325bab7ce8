import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { glob, mkdir, mkdtemp, readFile, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { reap } from '@kohort/testkit/reaper.ts';
import { type Browser, chromium } from 'playwright-core';

const top = join(import.meta.dirname, '../..');
/** Debian's. */
const installed = '/usr/bin/chromium';

/** Nothing that a browser does by itself reaches beyond the machine. */
const args = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  // A small /dev/shm, as containers have it, would end the page.
  '--disable-dev-shm-usage',
];

/**
 * The Chromium that a package brings, with the system libraries that it brings for machines without them. The package takes whatever
 * it finds in the folder for temporary files, even what another run is still unpacking or was killed over. So it unpacks into a folder
 * of ours, which gets its name once it is complete.
 */
async function packaged(): Promise<{ readonly executablePath: string; readonly env: NodeJS.ProcessEnv }> {
  const folder = join(top, 'node_modules/.cache', `chromium-${await versionOfPackage()}`);
  const { TMPDIR, LD_LIBRARY_PATH } = process.env;
  try {
    // Its flags are left alone: they switch off the same-origin policy, which is under test here.
    process.env.AWS_LAMBDA_JS_RUNTIME ??= 'nodejs22.x';
    // When it is imported, it sets the paths to its libraries and fonts.
    process.env.TMPDIR = folder;
    const { default: sparticuz } = await import('@sparticuz/chromium');
    const env = { ...process.env, TMPDIR };
    if (!existsSync(folder)) await unpack(folder, () => sparticuz.executablePath());
    return { executablePath: join(folder, 'chromium'), env };
  } finally {
    restore('TMPDIR', TMPDIR);
    restore('LD_LIBRARY_PATH', LD_LIBRARY_PATH);
  }
}

async function versionOfPackage(): Promise<string> {
  const text = await readFile(join(top, 'node_modules/@sparticuz/chromium/package.json'), 'utf8');
  return String((JSON.parse(text) as { version: unknown }).version);
}

/** Unpacks under a name of its own, so that no process finds half of it. Of two at once the first to finish wins. */
async function unpack(folder: string, into: () => Promise<string>): Promise<void> {
  await mkdir(dirname(folder), { recursive: true });
  const own = await mkdtemp(`${folder}-`);
  const spare = reap({ folder: own });
  try {
    process.env.TMPDIR = own;
    await into();
    await rename(own, folder);
  } catch (error) {
    if (!existsSync(folder)) throw error;
  } finally {
    await rm(own, { recursive: true, force: true });
    spare();
  }
}

function restore(name: string, value: string | undefined): void {
  if (value === undefined) delete process.env[name];
  else process.env[name] = value;
}

/** Starts Debian's Chromium where it is there, else the one from the registry: nothing is downloaded. */
export async function startBrowser(): Promise<Browser> {
  if (existsSync(installed)) return chromium.launch({ executablePath: installed, args });
  const { executablePath, env } = await packaged();
  const plain = Object.fromEntries(
    Object.entries(env).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  );
  return chromium.launch({ executablePath, args, env: plain });
}

/** Builds the console if its sources are newer than what was built, so that a test never judges an older one. */
export async function ensureBuilt(): Promise<void> {
  const built = await stat(join(top, 'web/dist/index.html')).catch(() => undefined);
  let newest = 0;
  for await (const file of glob('web/{src/**/*,index.html,vite.config.ts}', { cwd: top })) {
    newest = Math.max(newest, (await stat(join(top, file))).mtimeMs);
  }
  if (!built || built.mtimeMs < newest) await promisify(execFile)(process.execPath, [join(top, 'web/prepare.js')]);
}
