import { createCluster } from '@kohort/testkit/cluster.ts';
import { signIn } from '@kohort/testkit/http.ts';
import { say } from '@kohort/testkit/processes.ts';
import { ADMIN_PASSWORD } from '@kohort/testkit/service.ts';
import { type Tried, type TriedCrowd, tryAll, tryCrowds, turnLimitMs } from '../greedy/try-all.ts';
import { watchTurns } from '../greedy/turns.ts';
import { makeWorld } from '../greedy/world.ts';
import type { Row, Scenario } from '../report.ts';
import { startService } from '../service.ts';

const whole = { users: 1_000, lists: 1_000, dynamic: 100, crowdedLists: 10_500 };
const small = { users: 50, lists: 100, dynamic: 20, crowdedLists: 3_000 };
/** So many of the longest are named. */
const named = 25;

function describe({ operation, what, status, longestMs }: Tried): string {
  return `${operation}, ${what} (${status}): ${longestMs.toFixed(0)} ms`;
}

function rowOf(tried: readonly Tried[], workers: number, restarts: number): Row {
  const slow = tried.filter(({ longestMs }) => longestMs > turnLimitMs);
  const failed = tried.filter(({ status }) => status >= 500 && status !== 503);
  const [longest] = tried.toSorted((a, b) => b.longestMs - a.longestMs);
  return {
    scenario: `Greedy: every operation with the largest inputs it takes, and larger ones; ${workers} processes`,
    times: tried.length,
    promised: `no turn of the event loop over ${turnLimitMs} ms of processor time; no 500`,
    seen: [
      `longest ${longest ? describe(longest) : 'none'}`,
      `${slow.length} over ${turnLimitMs} ms${slow.length === 0 ? '' : `: ${slow.map(describe).join(', ')}`}`,
      `${failed.length} answered 500`,
      `${restarts} restarts`,
    ].join('; '),
    held: slow.length === 0 && failed.length === 0 && restarts === 0,
  };
}

function describeCrowd({ what, longestMs, p99, failed }: TriedCrowd): string {
  return `${what}: ${longestMs.toFixed(0)} ms, p99 of a read beside them ${p99.toFixed(0)} ms, ${failed} failed`;
}

function rowOfCrowds(tried: readonly TriedCrowd[], workers: number): Row {
  const slow = tried.filter(({ longestMs, failed }) => longestMs > turnLimitMs || failed > 0);
  return {
    scenario: `Greedy: many large calls at once; ${workers} processes`,
    times: tried.length,
    promised: `no turn of the event loop over ${turnLimitMs} ms of processor time; no read of another caller fails`,
    seen: tried.map(describeCrowd).join('; '),
    held: slow.length === 0,
  };
}

/** What one caller can make the others wait for, by one call and by many. */
export const greedy: Scenario = async ({ quick }) => {
  const rows: Row[] = [];
  for (const workers of [1, 2]) rows.push(...(await tryService(quick, workers)));
  return rows;
};

async function tryService(quick: boolean, workers: number): Promise<Row[]> {
  const cluster = await createCluster();
  const service = await startService({
    databaseUrl: cluster.url,
    env: { WORKERS: String(workers) },
    nodeArgs: ['--inspect=127.0.0.1:0'],
  });
  const token = await signIn(service.url, 'admin', ADMIN_PASSWORD);
  const world = await makeWorld(service.url, token, quick ? small : whole);
  const turns = await watchTurns(service.output());
  const gathered = await tryCrowds(world, turns);
  for (const one of gathered) say(describeCrowd(one));
  const tried = await tryAll(world, turns, () => true);
  for (const one of tried.toSorted((a, b) => b.longestMs - a.longestMs).slice(0, named)) say(describe(one));
  const restarts = service.restarts();
  turns.close();
  await service.stop();
  await cluster.stop();
  return [rowOf(tried, workers, restarts), rowOfCrowds(gathered, workers)];
}
