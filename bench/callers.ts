import { createClient, KohortError } from '@kohort/client';

/** An application: many callers in one process, each of which reads one random user after another. Started by the bench. */
const { env } = process;
const [users, callers, seconds] = [Number(env.USERS), Number(env.CALLERS), Number(env.SECONDS)];
const client = createClient({ url: env.KOHORT_URL ?? '', token: env.KOHORT_TOKEN, retries: 0 });

const read =
  env.BATCHING === 'yes'
    ? (user: string) => client.segmentsOf(user)
    : (user: string) => client.memberships.listUserSegments({ params: { user } });

/** Milliseconds of each answer, including refusals. */
const times: number[] = [];
let refused = 0;
let broken = 0;
const began = performance.now();
const until = began + seconds * 1000;

async function askInTurn(): Promise<void> {
  for (let asked = performance.now(); asked < until; asked = performance.now()) {
    try {
      await read(String(1 + Math.floor(Math.random() * users)));
    } catch (error) {
      if (!(error instanceof KohortError)) {
        broken++;
        continue;
      }
      refused++;
    }
    times.push(performance.now() - asked);
  }
}

await Promise.all(Array.from({ length: callers }, askInTurn));
const took = (performance.now() - began) / 1000;
times.sort((a, b) => a - b);
const percentile = (share: number) => times[Math.ceil(times.length * share) - 1] ?? 0;
const outcome = { requests: times.length, seconds: took, p50: percentile(0.5), p99: percentile(0.99) };
process.stdout.write(`RESULT ${JSON.stringify({ ...outcome, refused, broken, issued: 0 })}\n`);
