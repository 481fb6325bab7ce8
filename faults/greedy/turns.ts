import { openInspectors } from '../inspector.ts';

/** Looks at the event loops of a service, from within: how long their longest turn was. */
export interface Turns {
  /** How many times slower than an idle machine this one is right now; at least 1. */
  slowdown(): Promise<number>;
  /** Milliseconds of the longest turn while `work` was under way. */
  longestDuring(work: () => Promise<unknown>): Promise<number>;
  close(): void;
}

// Of the service's own monitor, which wakes up once a millisecond and notes how late it was.
const start = `globalThis.turns = process.getBuiltinModule('node:perf_hooks').monitorEventLoopDelay({ resolution: 1 }); turns.enable(); 0`;
const reset = 'turns.reset(); 0';
const longest = 'turns.max / 1e6';
/** Work of the kind that calls are made of, the best of five; it takes as long on each machine as its processor is slow. */
const calibrate = `(() => {
  const text = JSON.stringify(Array.from({ length: 20000 }, (_, i) => ({ slug: 'S' + i, n: [i, i + 1] })));
  let best = Infinity;
  for (let i = 0; i < 5; i++) {
    const began = performance.now();
    JSON.stringify(JSON.parse(text).map(({ slug, n }) => [slug, n.length]));
    best = Math.min(best, performance.now() - began);
  }
  return best;
})()`;
/** What that takes on an idle machine of the kind the bound is meant for. */
const idleCalibrationMs = 12;
const settleMs = 30;

/** `output`: what a service has written that was started with `--inspect`. */
export async function watchTurns(output: string): Promise<Turns> {
  const inspectors = await openInspectors(output);
  const worst = async (expression: string) =>
    Math.max(...(await Promise.all(inspectors.map((inspector) => inspector.evaluate(expression)))));
  await worst(start);
  const settle = () => new Promise((resolve) => setTimeout(resolve, settleMs));
  return {
    slowdown: async () => Math.max(1, ((await inspectors[0]?.evaluate(calibrate)) ?? 0) / idleCalibrationMs),
    async longestDuring(work) {
      await settle();
      await worst(reset);
      await work();
      await settle();
      return worst(longest);
    },
    close() {
      for (const inspector of inspectors) inspector.close();
    },
  };
}
