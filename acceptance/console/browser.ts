import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { glob, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type Browser, chromium } from 'playwright-core';

const top = join(import.meta.dirname, '../..');
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

/** The Chromium that a package brings, with the system libraries that it brings for machines without them. */
async function packaged(): Promise<{ readonly executablePath: string; readonly env: NodeJS.ProcessEnv }> {
  // Its flags are left alone: they switch off the same-origin policy, which is under test here.
  process.env.AWS_LAMBDA_JS_RUNTIME ??= 'nodejs22.x';
  const before = process.env.LD_LIBRARY_PATH;
  const { default: sparticuz } = await import('@sparticuz/chromium');
  const executablePath = await sparticuz.executablePath();
  const env = { ...process.env };
  if (before === undefined) delete process.env.LD_LIBRARY_PATH;
  else process.env.LD_LIBRARY_PATH = before;
  return { executablePath, env };
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
