import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { temporaryFolder } from '@kohort/testkit/folder.ts';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { chooseNode, runsTypeScript } from './choose-node.mjs';
import { findMissing } from './missing-packages.mjs';

const LAUNCHER = join(import.meta.dirname, 'run.mjs');
let folder: string;
beforeEach(async () => {
  folder = await temporaryFolder('run');
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function fixture(text: string): Promise<string> {
  const file = join(folder, 'fixture.ts');
  await writeFile(file, text);
  return file;
}

function launch(command: string, args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const child = spawn(command, args, {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { PATH: process.env.PATH ?? '', ...env },
  });
  let stdout = '';
  child.stdout.on('data', (chunk) => {
    stdout += chunk;
  });
  return { child, closed: once(child, 'close'), stdout: () => stdout };
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await sleep(10);
}

/** Says when it runs and which signals reach it, and ends some time after the first: the launcher has to wait for it. */
const LISTENER = `
  for (const name of ['SIGTERM', 'SIGINT'] as const)
    process.on(name, () => { console.log(name); setTimeout(() => process.exit(3), 50); });
  setInterval(() => undefined, 1_000);
  console.log('runs');`;

describe('the launcher', () => {
  it('passes on arguments and the exit code', async () => {
    const file = await fixture('console.log(process.argv.slice(2).join()); process.exitCode = 7;');
    const { child, closed, stdout } = launch(process.execPath, [LAUNCHER, file, 'a', '--b']);
    await closed;
    expect([stdout(), child.exitCode]).toEqual(['a,--b\n', 7]);
  });

  it.each(['SIGTERM', 'SIGINT'] as const)('passes on %s, once, and waits for the end', async (signal) => {
    const { child, closed, stdout } = launch(process.execPath, [LAUNCHER, await fixture(LISTENER)]);
    await until(() => stdout() !== '');
    child.kill(signal);
    await closed;
    expect([stdout(), child.exitCode]).toEqual([`runs\n${signal}\n`, 3]);
  });

  it.skipIf(process.platform === 'win32')('stops what it runs when the shell of npm is gone', async () => {
    const line = `"${process.execPath}" "${LAUNCHER}" "${await fixture(LISTENER)}"; true`;
    const { child, closed, stdout } = launch('sh', ['-c', line], { npm_lifecycle_event: 'start' });
    await until(() => stdout() !== '');
    child.kill('SIGTERM');
    // All ends of the pipe are closed: nothing is left running.
    await closed;
    expect(stdout()).toBe('runs\nSIGTERM\n');
  });
});

describe('after an installation with an old Node', () => {
  const old = { npm_node_execpath: process.execPath, npm_config_user_agent: 'npm/11.0.0 node/v20.0.0 linux x64' };
  /** A checkout of its own, in which no package is installed. */
  const copied = async () => {
    await cp(import.meta.dirname, join(folder, 'scripts'), { recursive: true });
    return join(folder, 'scripts/run.mjs');
  };

  it('does not fail where the packaged one was left out on purpose', async () => {
    const { child, closed } = launch(process.execPath, [await copied()], old);
    await closed;
    expect(child.exitCode).toBe(0);
  });

  it('fails where the packaged one is there and does not start', async () => {
    const bin = join(folder, 'node_modules/node/bin');
    await mkdir(bin, { recursive: true });
    await writeFile(join(bin, 'node'), '#!/bin/sh\nexit 127\n', { mode: 0o755 });
    const { child, closed } = launch(process.execPath, [await copied()], old);
    await closed;
    expect(child.exitCode).toBe(1);
  });

  it('still starts nothing', async () => {
    const { child, closed } = launch(process.execPath, [await copied(), await fixture('')], old);
    await closed;
    expect(child.exitCode).toBe(1);
  });
});

describe('the Node it chooses', () => {
  it.each([
    ['v20.20.2', false],
    ['v22.17.9', false],
    ['v22.18.0', true],
    ['v23.5.0', false],
    ['v23.6.0', true],
    ['v24.0.0', true],
    ['v26.10.0', true],
  ])('of version %s runs TypeScript: %s', (version, runs) => {
    expect(runsTypeScript(version)).toBe(runs);
  });

  it('is the machine’s own, without a warning about TypeScript', () => {
    expect(chooseNode({ own: { path: '/own', version: 'v26.1.0' } })).toEqual({ path: '/own', flags: [] });
    expect(chooseNode({ own: { path: '/own', version: 'v22.18.0' } })).toEqual({
      path: '/own',
      flags: ['--disable-warning=ExperimentalWarning'],
    });
  });

  it('is the packaged one where the own is too old', () => {
    expect(chooseNode({ own: { path: '/own', version: 'v20.0.0' }, packaged: process.execPath })).toMatchObject({
      path: process.execPath,
    });
  });

  it('is none, with a sentence, where the packaged one is not there or does not start', async () => {
    const own = { path: '/own', version: 'v20.0.0' };
    expect(chooseNode({ own, packaged: join(folder, 'none') })).toEqual({
      problem: expect.stringMatching(/needs Node 22\.18.* Node v20\.0\.0.* not installed\. Install/),
      isLeftOut: true,
    });
    const broken = join(folder, 'broken');
    await writeFile(broken, '#!/bin/sh\necho "libatomic.so.1: cannot open" >&2\nexit 127\n', { mode: 0o755 });
    expect(chooseNode({ own, packaged: broken })).toEqual({
      problem: expect.stringMatching(/does not start here \(libatomic\.so\.1: cannot open\)\. Install/),
      isLeftOut: false,
    });
  });
});

it.runIf(process.platform === 'linux')('the packaged Node needs no library that a minimal Debian lacks', async () => {
  const binary = await readFile(join(import.meta.dirname, '../node_modules/node/bin/node'));
  expect(binary.includes('libstdc++.so.6')).toBe(true);
  // Official builds need it from 25 on. `npm run faults -- --only bare` tries both commands in such a system.
  expect(binary.includes('libatomic.so.1')).toBe(false);
});

it('no package asks for a Node newer than 20, of which npm would warn', async () => {
  const lock = JSON.parse(await readFile(join(import.meta.dirname, '../package-lock.json'), 'utf8'));
  const packages: Readonly<Record<string, { engines?: { node?: string } }>> = lock.packages;
  const isNewer = (range: string) => range.split('||').every((one) => /^\s*[>=^~]*\s*2[1-9]/.test(one));
  const newer = Object.entries(packages).filter(([, { engines }]) => isNewer(engines?.node ?? ''));
  expect(newer.map(([path]) => path)).toEqual([]);
});

describe('packages that npm left out', () => {
  const locked = {
    '': { devDependencies: { tool: '1' } },
    'node_modules/tool': { optionalDependencies: { 'tool-linux': '1', 'tool-mac': '1', 'tool-nested': '1' } },
    'node_modules/tool-linux': { os: ['linux'], cpu: ['x64'] },
    'node_modules/tool-mac': { os: ['darwin'] },
    'node_modules/tool/node_modules/tool-nested': { os: ['linux'] },
    'node_modules/not-installed': { optionalDependencies: { 'not-either': '1' } },
    'node_modules/not-either': {},
  };
  const install = async (path: string) => {
    await mkdir(join(folder, path), { recursive: true });
    await writeFile(join(folder, path, 'package.json'), '{}');
  };
  const find = (platform: string) => findMissing(folder, { platform, arch: 'x64' });

  it('are found where they are made for the machine and something installed asks for them', async () => {
    expect(find('linux')).toEqual([]);
    await writeFile(join(folder, 'package-lock.json'), JSON.stringify({ packages: locked }));
    expect(find('linux')).toEqual([]);
    await install('node_modules/tool');
    expect(find('linux')).toEqual(['tool-linux', 'tool-nested']);
    expect(find('darwin')).toEqual(['tool-mac']);
    await install('node_modules/tool-linux');
    await install('node_modules/tool/node_modules/tool-nested');
    expect(find('linux')).toEqual([]);
  });

  it('are none here', () => {
    expect(findMissing()).toEqual([]);
  });
});
