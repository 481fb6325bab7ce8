import cluster from 'node:cluster';
import type { EmbeddedPostgres } from '@kohort/embedded/start.ts';
import { announce } from './announce.ts';

/** Milliseconds in which calls under way are to end. */
export const stopWithinMs = 25_000;
const graceMs = 10_000;
/** One stop may reach the process twice: a supervisor signals the whole group, and whatever started us passes it on. */
const sameStopMs = 1_000;

export interface Stopper {
  readonly isStopping: () => boolean;
  readonly stop: (code?: number) => Promise<never>;
}

/** Stops once, within its time; a later signal ends the process at once. `delayMs`: what `stop` waits before it begins. */
export function createStopper(stop: () => Promise<void>, delayMs: number): Stopper {
  let stoppingSince: number | undefined;
  let stopped: Promise<never> | undefined;
  return {
    isStopping: () => stoppingSince !== undefined,
    stop(code = 0) {
      if (stopped && performance.now() - (stoppingSince ?? 0) > sameStopMs) process.exit(1);
      stoppingSince ??= performance.now();
      stopped ??= stopOnce(code);
      return stopped;
    },
  };

  async function stopOnce(code: number): Promise<never> {
    if (cluster.isPrimary && code === 0) announce('Kohort stops: calls under way are finished.');
    // A supervisor of ours would kill the process a little later, and less kindly.
    setTimeout(() => process.exit(1), delayMs + stopWithinMs + graceMs).unref();
    await stop();
    if (cluster.isPrimary && code === 0) announce('Kohort has stopped.');
    process.exit(code);
  }
}

/** One that would still be starting is waited for, or it would be left behind. */
export async function stopEmbedded(postgres: Promise<EmbeddedPostgres> | undefined): Promise<void> {
  await postgres?.then(
    (running) => running.stop(),
    () => undefined,
  );
}
