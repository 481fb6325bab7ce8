import cluster from 'node:cluster';
import type { EmbeddedPostgres } from '@kohort/embedded/start.ts';
import { announce } from './announce.ts';

/** Milliseconds in which calls under way are to end. */
export const stopWithinMs = 25_000;
const graceMs = 10_000;

export interface Stopper {
  readonly isStopping: () => boolean;
  readonly stop: (code?: number) => Promise<never>;
}

/** Stops once, within its time; a second signal ends the process at once. `delayMs`: what `stop` waits before it begins. */
export function createStopper(stop: () => Promise<void>, delayMs: number): Stopper {
  let stopping = false;
  return {
    isStopping: () => stopping,
    async stop(code = 0) {
      if (stopping) process.exit(1);
      stopping = true;
      if (cluster.isPrimary && code === 0) announce('Kohort stops: calls under way are finished.');
      // A supervisor of ours would kill the process a little later, and less kindly.
      setTimeout(() => process.exit(1), delayMs + stopWithinMs + graceMs).unref();
      await stop();
      if (cluster.isPrimary && code === 0) announce('Kohort has stopped.');
      process.exit(code);
    },
  };
}

/** One that would still be starting is waited for, or it would be left behind. */
export async function stopEmbedded(postgres: Promise<EmbeddedPostgres> | undefined): Promise<void> {
  await postgres?.then(
    (running) => running.stop(),
    () => undefined,
  );
}
