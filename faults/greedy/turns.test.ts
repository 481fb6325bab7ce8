import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, it } from 'vitest';
import { openInspectors } from '../inspector.ts';
import { watchTurns } from './turns.ts';

/** Keeps a processor for so long, by its own clock: how busy the machine is changes nothing. */
const work = (milliseconds: number) =>
  `(() => { const until = usedMs() + ${milliseconds}; while (usedMs() < until); return 0; })()`;

it('a long turn is seen, a wait is not', async () => {
  const child = spawn(process.execPath, ['--inspect=127.0.0.1:0', '-e', 'setInterval(() => undefined, 1000)']);
  try {
    const [line] = await once(child.stderr, 'data');
    const turns = await watchTurns(String(line));
    const [inspector] = await openInspectors(String(line));
    const worked = await turns.longestDuring(async () => inspector?.evaluate(work(400)));
    const waited = await turns.longestDuring(() => new Promise((resolve) => setTimeout(resolve, 100)));
    // No figure is expected: both are scaled by what the machine does at the moment.
    expect(worked).toBeGreaterThan(4 * waited);
    turns.close();
    inspector?.close();
  } finally {
    child.kill();
  }
});
