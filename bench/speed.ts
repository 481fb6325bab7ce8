import { cpus } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Child, isInstalled, startChild } from '@kohort/testkit/processes.ts';

const PROBE = join(import.meta.dirname, 'probe.ts');
const STARTS_WITHIN_MS = 2_000;

const probes: Child[] = [];

/** Starts to probe how fast the machine is; where processes cannot be tied to a processor, nothing is known of that. */
export async function startProbes(): Promise<void> {
  if (process.platform !== 'linux' || !(await isInstalled('taskset'))) return;
  for (const processor of cpus().keys()) {
    probes.push(
      await startChild({ command: 'taskset', args: ['--cpu-list', String(processor), process.execPath, PROBE] }),
    );
  }
  await sleep(STARTS_WITHIN_MS);
}

/** Microseconds of each run in what a probe has said, but for the last line, which may not be all there. */
export function readProbe(output: string): number[] {
  const lines = output.split('\n').slice(0, -1);
  return lines.map(Number);
}

/**
 * Watches the machine. The returned function says how many microseconds the probes' work has taken on average since, on all
 * processors; not a number where that is not known.
 */
export function watchSpeed(): () => number {
  const from = probes.map((probe) => probe.stdout().lastIndexOf('\n') + 1);
  return () => {
    const each = probes.map((probe, i) => readProbe(probe.stdout().slice(from[i])));
    if (each.some(({ length }) => length === 0)) return Number.NaN;
    const all = each.flat();
    return all.reduce((sum, micros) => sum + micros, 0) / all.length;
  };
}

/** In a round that counts, the probes took at most so many times as long as in the calmest of its scenario. */
const mostTimes = 1.2;
const fewestRounds = 3;

/**
 * Which rounds count, in their order: those in which the machine was hardly slower than in the calmest, by what the probes took; the
 * calmest three at least. All where that is not known. Nothing that was measured of a contestant has a say in it.
 */
export function calmRounds(probed: readonly number[]): number[] {
  const rounds = [...probed.keys()];
  if (probed.some(Number.isNaN)) return rounds;
  const byProbe = rounds.toSorted((a, b) => (probed[a] ?? 0) - (probed[b] ?? 0));
  const limit = mostTimes * Math.min(...probed);
  return byProbe.filter((round, place) => place < fewestRounds || (probed[round] ?? 0) <= limit).sort((a, b) => a - b);
}
