import { call } from '@kohort/testkit/http.ts';
import { quantile } from '../report.ts';
import type { World } from './world.ts';

export interface Witnessed {
  readonly calls: number;
  readonly failed: number;
  /** Milliseconds that passed, so they include whatever else runs on the machine. */
  readonly p50: number;
  readonly p99: number;
  readonly healthMost: number;
}

const everyMs = 10;

/** Another caller, with a usual read and a health check in turn, one after the other, for as long as `work` takes. */
export async function witness({ url, token }: World, work: () => Promise<unknown>): Promise<Witnessed> {
  const reads: number[] = [];
  const checks: number[] = [];
  let failed = 0;
  let isOver = false;
  const ask = async (path: string, into: number[]) => {
    const began = performance.now();
    const answer = await call(url, 'GET', path, { token }).catch(() => undefined);
    into.push(performance.now() - began);
    if (answer?.status !== 200) failed++;
  };
  const watching = (async () => {
    while (!isOver) {
      await ask('/api/users/1/segments', reads);
      await ask('/healthz', checks);
      await new Promise((resolve) => setTimeout(resolve, everyMs));
    }
  })();
  try {
    await work();
  } finally {
    isOver = true;
    await watching;
  }
  return {
    calls: reads.length,
    failed,
    p50: quantile(reads, 0.5),
    p99: quantile(reads, 0.99),
    healthMost: Math.max(0, ...checks),
  };
}
