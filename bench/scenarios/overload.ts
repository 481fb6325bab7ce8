import { setTimeout as sleep } from 'node:timers/promises';
import { type Contestant, takeTurns } from '../measure.ts';
import { compare, type Findings, rate, rowOf } from '../ratio.ts';
import { plainRead, type Stage } from '../stage.ts';

/** Callers wait for their answers, so there are as many pending requests as connections. */
const CONNECTION_FACTORS = [5, 50] as const;
/** That many callers take some time to connect. */
const SHORTEST_RUN_S = 2;
const CALM_ANSWER_MS = 50;
const CALM_WITHIN_MS = 10_000;

/** Waits until the service has finished the work of the run before. */
async function waitUntilCalm(url: string): Promise<void> {
  for (const began = performance.now(); performance.now() - began < CALM_WITHIN_MS; await sleep(CALM_ANSWER_MS)) {
    const asked = performance.now();
    const answer = await fetch(`${url}/healthz`, { signal: AbortSignal.timeout(CALM_WITHIN_MS) }).catch(
      () => undefined,
    );
    await answer?.arrayBuffer();
    if (answer?.ok && performance.now() - asked < CALM_ANSWER_MS) return;
  }
}

/** Reads by many more callers than the service needs to be busy: it keeps answering, and its memory stays bounded. */
export async function overload(stage: Stage): Promise<Findings> {
  const { options, service, postgres } = stage;
  const seconds = Math.max(options.seconds, SHORTEST_RUN_S);
  const times = options.quick ? CONNECTION_FACTORS.slice(0, 1) : CONNECTION_FACTORS;
  const name = (factor: number) => `${options.connections * factor} connections`;
  const contestant = (factor: number): Contestant => ({
    ...plainRead(stage, name(factor), options.connections * factor),
    before: () => waitUntilCalm(service.url),
  });
  const rows = await takeTurns('overload', [1, ...times].map(contestant), { ...options, seconds }, postgres);
  const peak = rowOf(rows, name(1));
  return {
    rows,
    ratios: times.flatMap((factor) => {
      const pair = [rowOf(rows, name(factor)), peak] as const;
      return [
        ...compare(`overload: answers/s at ${factor} times the connections`, pair, rate, { atLeast: 0.8 }),
        ...compare(`overload: resident memory at ${factor} times the connections`, pair, ({ resident }) => resident, {
          atMost: 2,
        }),
      ];
    }),
    notes: [`overload: runs of ${seconds} s; errors are requests refused or broken, which the answers/s do not count.`],
  };
}
