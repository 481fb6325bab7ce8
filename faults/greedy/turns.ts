import { openInspectors } from '../inspector.ts';

/** Watches the event loops of a service from within, and reports their longest turn. */
export interface Turns {
  /** Processor milliseconds of the longest turn while `work` was under way, scaled to this machine at its best. */
  longestDuring(work: () => Promise<unknown>): Promise<number>;
  close(): void;
}

/**
 * Processor time of the thread, not the time that passed, which grows when a busy neighbour takes the processor away. A timer
 * notices the end of each turn; short turns that it takes for one are within its own millisecond.
 */
const start = `(() => {
  const used = () => {
    const { user, system } = (process.threadCpuUsage ?? process.cpuUsage)();
    return (user + system) / 1e3;
  };
  const turns = { longest: 0, last: used() };
  setInterval(() => {
    const now = used();
    turns.longest = Math.max(turns.longest, now - turns.last);
    turns.last = now;
  }, 1);
  globalThis.turns = turns;
  globalThis.usedMs = used;
  return 0;
})()`;
const reset = '(turns.longest = 0, turns.last = usedMs(), 0)';
const longest = 'turns.longest';
/**
 * Does work like that of calls, and returns the best time of five: a processor that is shared or hot takes longer for it.
 */
const calibrate = `(() => {
  const text = JSON.stringify(Array.from({ length: 20000 }, (_, i) => ({ slug: 'S' + i, n: [i, i + 1] })));
  let best = Infinity;
  for (let i = 0; i < 5; i++) {
    const began = usedMs();
    JSON.stringify(JSON.parse(text).map(({ slug, n }) => [slug, n.length]));
    // Where the clock is coarse, a time may be nothing at all.
    best = Math.min(best, usedMs() - began || Infinity);
  }
  return best;
})()`;
const calibrationsAtStart = 10;
const settleMs = 30;

/** `output` is the output of a service that was started with `--inspect`. */
export async function watchTurns(output: string): Promise<Turns> {
  const inspectors = await openInspectors(output);
  const worst = async (expression: string) =>
    Math.max(...(await Promise.all(inspectors.map((inspector) => inspector.evaluate(expression)))));
  const settle = () => new Promise((resolve) => setTimeout(resolve, settleMs));
  await worst(start);
  /** The shortest calibration so far: the machine at its best. */
  let bestMs = Number.POSITIVE_INFINITY;
  const calibrated = async () => {
    const milliseconds = (await inspectors[0]?.evaluate(calibrate)) ?? 0;
    bestMs = Math.min(bestMs, milliseconds);
    return milliseconds;
  };
  for (let i = 0; i < calibrationsAtStart; i++) await calibrated();
  return {
    async longestDuring(work) {
      const slowdown = (await calibrated()) / bestMs;
      await settle();
      await worst(reset);
      await work();
      await settle();
      return (await worst(longest)) / slowdown;
    },
    close() {
      for (const inspector of inspectors) inspector.close();
    },
  };
}
