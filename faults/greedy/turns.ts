import { openInspectors } from '../inspector.ts';

/** Watches the event loops of a service from within, and reports their longest turn. */
export interface Turns {
  /** Processor milliseconds of the longest turn while `work` was under way; above the limit, scaled to this machine at its best. */
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
 * Does work like that of calls, and returns how long it took: a processor that is shared or hot takes longer for it. Long enough for
 * a clock that is coarse.
 */
const calibrate = `(() => {
  const text = JSON.stringify(Array.from({ length: 20000 }, (_, i) => ({ slug: 'S' + i, n: [i, i + 1] })));
  const began = usedMs();
  for (let i = 0; i < 10; i++) JSON.stringify(JSON.parse(text).map(({ slug, n }) => [slug, n.length]));
  return usedMs() - began;
})()`;
const calibrationsAtStart = 5;
const settleMs = 30;

/**
 * `output` is the output of a service that was started with `--inspect`. Scaling makes a turn shorter, and takes longer than most
 * calls, so a turn within `limitMs` is reported as it was measured.
 */
export async function watchTurns(output: string, limitMs: number): Promise<Turns> {
  const inspectors = await openInspectors(output);
  const worst = async (expression: string) =>
    Math.max(...(await Promise.all(inspectors.map((inspector) => inspector.evaluate(expression)))));
  const settle = () => new Promise((resolve) => setTimeout(resolve, settleMs));
  await worst(start);
  /** The shortest calibration so far: the machine at its best. */
  let bestMs = Number.POSITIVE_INFINITY;
  const calibrated = async () => {
    const milliseconds = await worst(calibrate);
    bestMs = Math.min(bestMs, milliseconds);
    return milliseconds;
  };
  for (let i = 0; i < calibrationsAtStart; i++) await calibrated();
  return {
    async longestDuring(work) {
      await worst(reset);
      await work();
      await settle();
      const measuredMs = await worst(longest);
      if (measuredMs <= limitMs) return measuredMs;
      const slowdown = (await calibrated()) / bestMs;
      return measuredMs / slowdown;
    },
    close() {
      for (const inspector of inspectors) inspector.close();
    },
  };
}
