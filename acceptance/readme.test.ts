import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freePort } from '@kohort/embedded/free-port.ts';
import { eventually } from '@kohort/testkit/eventually.ts';
import { isReady } from '@kohort/testkit/http.ts';
import { type Child, isInstalled, startChild } from '@kohort/testkit/processes.ts';
import { reap } from '@kohort/testkit/reaper.ts';
import { type DataFolder, dataFolder } from '@kohort/testkit/service.ts';
import { afterAll, beforeAll, expect, it } from 'vitest';

const PASSWORD = 'correct horse battery';
const ROOT = join(import.meta.dirname, '..');
const readme = await readFile(join(ROOT, 'README.md'), 'utf8');

interface Step {
  readonly command: string;
  /** The lines of comments below it. */
  readonly answer: string;
}

/** The commands of a chapter, each with what the README says it answers. */
function stepsOf(chapter: string): Step[] {
  const from = readme.indexOf(`\n## ${chapter}\n`);
  if (from === -1) throw new Error(`the README has no chapter ${chapter}`);
  const text = readme.slice(from + 1, readme.indexOf('\n## ', from + 1));
  const blocks = [...text.matchAll(/```sh\n(.*?)```/gs)].map(([, block = '']) => block);
  return blocks.flatMap((block) =>
    [...block.matchAll(/((?:^(?!# ).*\n)+)((?:^# .*\n)*)/gm)].map(([, command = '', comments = '']) => ({
      command,
      answer: comments.replaceAll(/^# /gm, ''),
    })),
  );
}

/** Her bucket is drawn, and with it whether she is in; `…` stands for anything. */
const DRAWN = /"member":(?:true|false),"source":"(?:percentage\+condition|none)","bucket":[\d.]+|"bucket":[\d.]+/g;
const settled = (text: string) => text.replaceAll(DRAWN, '"bucket":DRAWN').replaceAll(/\bjob \d+/g, 'job N');

function patternOf(answer: string): RegExp {
  const parts = settled(answer.trim())
    .split('…')
    .map((part) => part.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  return new RegExp(`^${parts.join('[^\\n]*?')}$`);
}

// A minimal system has neither.
const canType = (await isInstalled('bash')) && (await isInstalled('curl'));
let data: DataFolder;
let port: number;
let service: Child;

/** By the README's own first command, without the installation. */
beforeAll(async () => {
  if (!canType) return;
  data = await dataFolder();
  port = await freePort();
  const start = /^npm ci && (npm start)\b/m.exec(readme)?.[1] ?? '';
  const [command = '', ...args] = start.split(' ');
  reap({ cluster: join(data.folder, 'postgres') });
  service = await startChild({
    command,
    args,
    cwd: ROOT,
    env: { PORT: String(port), DATA_DIR: data.folder, ADMIN_PASSWORD: PASSWORD },
  });
  await eventually(() => isReady(`http://localhost:${port}`));
});
afterAll(async () => {
  await service?.stop();
  await data?.remove();
});

/** All steps in one shell, as they are typed; answers what each printed. */
async function typed(steps: readonly Step[]): Promise<string[]> {
  const marker = '-- next step --';
  const script = steps
    .map(({ command }) => `${command}\necho; echo '${marker}'`)
    .join('\n')
    .replaceAll('localhost:8000', `localhost:${port}`)
    .replace("PASSWORD='…'", `PASSWORD='${PASSWORD}'`);
  const child = await startChild({ command: 'bash', args: ['-c', script], cwd: ROOT });
  const { stdout } = await child.exit;
  return stdout.replaceAll(`localhost:${port}`, 'localhost:8000').split(`${marker}\n`).slice(0, -1);
}

it.skipIf(!canType)('answers every command of the README as printed there (needs bash and curl)', async () => {
  const steps = [...stepsOf('The seven calls'), ...stepsOf('A small tour')];
  expect(steps.length).toBeGreaterThan(20);
  const printed = await typed(steps);
  for (const [i, { command, answer }] of steps.entries())
    expect(settled((printed[i] ?? '').trim()), command).toMatch(patternOf(answer));
});
