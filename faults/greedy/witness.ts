import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { quantile } from '../report.ts';

export interface Witnessed {
  readonly calls: number;
  readonly failed: number;
  /** Elapsed milliseconds, so they include other load on the machine. */
  readonly p99: number;
  /** The longest that a health check took. */
  readonly healthMost: number;
}

/** What the thread measured: milliseconds of each call. */
export interface Seen {
  readonly reads: readonly number[];
  readonly checks: readonly number[];
  readonly failed: number;
}

export interface WitnessSettings {
  /** The URLs of the instances, which are asked in turn. */
  readonly urls: readonly string[];
  /** Of another caller than the one that is watched. */
  readonly token: string;
}

/** Another caller, who makes an ordinary read and a health check in turn. */
export interface Witness {
  beside(work: () => Promise<unknown>): Promise<Witnessed>;
  close(): Promise<void>;
}

/** Runs in a thread of its own. Otherwise building and reading large inputs would delay it, and count as the service's delay. */
export async function callWitness(settings: WitnessSettings): Promise<Witness> {
  const thread = new Worker(new URL('./witness-thread.ts', import.meta.url), { workerData: settings });
  await once(thread, 'message');
  return {
    async beside(work) {
      thread.postMessage('begin');
      try {
        await work();
      } finally {
        thread.postMessage('end');
      }
      const [{ reads, checks, failed }] = (await once(thread, 'message')) as [Seen];
      return { calls: reads.length, failed, p99: quantile(reads, 0.99), healthMost: Math.max(0, ...checks) };
    },
    close: async () => void (await thread.terminate()),
  };
}
