import { setTimeout as sleep } from 'node:timers/promises';
import { type Contestant, takeTurns } from '../measure.ts';
import { compare, type Findings, medianOf, rate } from '../ratio.ts';
import { plainRead, type Stage } from '../stage.ts';

/** Callers who wait for their answers keep as many requests waiting as they have connections. */
const CONNECTION_FACTORS = [5, 50] as const;
/** So many callers take their time to connect. */
const SHORTEST_RUN_S = 2;
const CALM_MS = 50;
const CALM_WITHIN_MS = 10_000;

/** Waits until the service is through with what the run before has left behind. */
async function waitUntilCalm(url: string): Promise<void> {
  for (const began = performance.now(); performance.now() - began < CALM_WITHIN_MS; await sleep(CALM_MS)) {
    const asked = performance.now();
    const answer = await fetch(`${url}/healthz`, { signal: AbortSignal.timeout(CALM_WITHIN_MS) }).catch(
      () => undefined,
    );
    await answer?.arrayBuffer();
    if (answer?.ok && performance.now() - asked < CALM_MS) return;
  }
}

/** Reads by many more callers than keep the service busy: it goes on answering, and its memory stays bounded. */
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
  const peak = medianOf(rows, name(1));
  return {
    rows,
    ratios: times.flatMap((factor) => {
      const pair = [medianOf(rows, name(factor)), peak] as const;
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
