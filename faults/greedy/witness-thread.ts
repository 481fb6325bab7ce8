import { setTimeout as sleep } from 'node:timers/promises';
import { parentPort, workerData } from 'node:worker_threads';
import { call } from '@kohort/testkit/http.ts';
import type { Seen, WitnessSettings } from './witness.ts';

const everyMs = 10;
const { urls, token } = workerData as WitnessSettings;
let isWatching = false;

async function watch(): Promise<Seen> {
  const reads: number[] = [];
  const checks: number[] = [];
  let failed = 0;
  const ask = async (url: string, path: string, into: number[]) => {
    const began = performance.now();
    const answer = await call(url, 'GET', path, { token }).catch(() => undefined);
    into.push(performance.now() - began);
    if (answer?.status !== 200) failed++;
  };
  do {
    for (const url of urls) {
      await ask(url, '/api/users/1/segments', reads);
      await ask(url, '/healthz', checks);
    }
    await sleep(everyMs);
  } while (isWatching);
  return { reads, checks, failed };
}

parentPort?.on('message', (message: 'begin' | 'end') => {
  isWatching = message === 'begin';
  if (isWatching) void watch().then((seen) => parentPort?.postMessage(seen));
});
parentPort?.postMessage('ready');
