import { setImmediate as othersTurn } from 'node:timers/promises';
import { createClient } from '@kohort/client';

/** An application that holds the segments of a feed in memory and looks users up in them. Started by the bench. */
const { env } = process;
const [users, segments, seconds] = [Number(env.USERS), Number(env.SEGMENTS), Number(env.SECONDS)];
const { gc } = globalThis;
const batchLookups = 1_000;

/** Bytes that are in use once everything else has been collected. */
function usedBytes(): number {
  for (let i = 0; i < 3; i++) gc?.();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

const client = createClient({ url: env.KOHORT_URL ?? '', token: env.KOHORT_TOKEN });
const loading = performance.now();
const replica = await client.replica(env.FEED ?? '');
const loadSeconds = (performance.now() - loading) / 1000;
const loadedBytes = usedBytes();

/** Milliseconds of a lookup, on average over each batch. */
const times: number[] = [];
let [requests, found] = [0, 0];
const began = performance.now();
const until = began + seconds * 1000;
for (let at = began; at < until; ) {
  for (let i = 0; i < batchLookups; i++) {
    const user = 1 + Math.floor(Math.random() * users);
    const segment = 1 + Math.floor(Math.random() * segments);
    if (replica.isIn(String(user), `SEGMENT_${segment}`)) found++;
  }
  requests += batchLookups;
  const now = performance.now();
  times.push((now - at) / batchLookups);
  at = now;
  await othersTurn();
}
const took = (performance.now() - began) / 1000;
replica.close();
// Measured by what closing it frees, since other parts of the process have changed since it was opened.
const bytes = loadedBytes - usedBytes();
times.sort((a, b) => a - b);
const percentile = (share: number) => times[Math.ceil(times.length * share) - 1] ?? 0;
const outcome = { requests, seconds: took, p50: percentile(0.5), p99: percentile(0.99) };
process.stdout.write(`REPLICA ${JSON.stringify({ bytes, loadSeconds, found })}\n`);
process.stdout.write(`RESULT ${JSON.stringify({ ...outcome, refused: 0, broken: 0, issued: 0 })}\n`);
