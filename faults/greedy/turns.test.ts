import { setTimeout as sleep } from 'node:timers/promises';
import { eventually } from '@kohort/testkit/eventually.ts';
import { startChild } from '@kohort/testkit/processes.ts';
import { expect, it } from 'vitest';
import { openInspectors } from '../inspector.ts';
import { watchTurns } from './turns.ts';

/** Keeps a processor for so long, by its own clock: how busy the machine is changes nothing. */
const work = (milliseconds: number) =>
  `(() => { const until = usedMs() + ${milliseconds}; while (usedMs() < until); return 0; })()`;

it('a long turn is seen, a wait is not', async () => {
  const program = 'setInterval(() => undefined, 1000); console.log("runs")';
  const child = await startChild({ args: ['--inspect=127.0.0.1:0', '-e', program] });
  try {
    // Before it runs, it can be asked, and knows nothing.
    await eventually(() => child.stdout() !== '' && child.stderr().includes('ws://'));
    const turns = await watchTurns(child.stderr(), 50);
    const [inspector] = await openInspectors(child.stderr());
    const worked = await turns.longestDuring(async () => inspector?.evaluate(work(400)));
    // Garbage may be collected during a wait, but hardly during each.
    let waited = Number.POSITIVE_INFINITY;
    for (let i = 0; i < 3; i++) waited = Math.min(waited, await turns.longestDuring(() => sleep(100)));
    // No figure is expected: long turns are scaled by what the machine does at the moment.
    expect(worked).toBeGreaterThan(4 * waited);
    turns.close();
    inspector?.close();
  } finally {
    await child.kill('SIGKILL');
  }
});
