import { watch } from './cpu.ts';
import type { Postgres } from './postgres.ts';
import { say } from './progress.ts';
import type { Target } from './service.ts';
import { median, medianOfKnown } from './statistics.ts';
import { formatCount, formatDecimal } from './table.ts';
import type { Outcome } from './wrk.ts';

/** One way to be measured; the contestants of a scenario take turns. */
export interface Contestant {
  readonly name: string;
  /** Asked for anew before each run, as `before` may have started another one; undefined for what the bench does by itself. */
  readonly target: () => Target | undefined;
  /** How the database knows its connections; undefined for one that uses none, the application for one that comes and goes. */
  readonly connection: { readonly application: string | undefined; readonly database: string } | undefined;
  /** Loads it for so many seconds. */
  readonly load: (seconds: number) => Promise<Outcome>;
  /** In place of a short load before the first round. */
  readonly warmUp?: () => Promise<void>;
  readonly before?: () => Promise<void>;
  /** Not measured: to wait for what the load has left behind. */
  readonly after?: () => Promise<void>;
}

export interface Sample {
  /** Answers a second, refusals not counted. */
  readonly rate: number;
  /** Milliseconds. */
  readonly p50: number;
  readonly p99: number;
  readonly refused: number;
  readonly broken: number;
  /** Cores kept busy. */
  readonly server: number;
  readonly database: number | undefined;
  readonly background: number | undefined;
  /** MiB. */
  readonly resident: number;
  /** The share of the machine's time that others had. */
  readonly stolen: number;
}

export interface Row {
  readonly contestant: string;
  readonly median: Sample;
  readonly samples: readonly Sample[];
}

export interface Rounds {
  readonly rounds: number;
  readonly seconds: number;
  readonly warmUp: number;
}

export function medianSample(samples: readonly Sample[]): Sample {
  const of = (name: 'rate' | 'p50' | 'p99' | 'refused' | 'broken' | 'server' | 'resident' | 'stolen') =>
    median(samples.map((sample) => sample[name]));
  return {
    rate: of('rate'),
    p50: of('p50'),
    p99: of('p99'),
    refused: of('refused'),
    broken: of('broken'),
    server: of('server'),
    database: medianOfKnown(samples.map(({ database }) => database)),
    background: medianOfKnown(samples.map(({ background }) => background)),
    resident: of('resident'),
    stolen: of('stolen'),
  };
}

async function measureOnce(contestant: Contestant, seconds: number, postgres: Postgres): Promise<Sample> {
  const { connection } = contestant;
  await postgres.checkpoint();
  const stopWatching = await watch({
    server: contestant.target()?.pid,
    postmaster: connection && postgres.postmaster,
    backends: async () =>
      connection?.application === undefined
        ? new Set<number>()
        : postgres.backendsOf(connection.application, connection.database),
  });
  const outcome = await contestant.load(seconds);
  const { server, database, background, resident, stolen } = await stopWatching();
  return {
    rate: (outcome.requests - outcome.refused) / outcome.seconds,
    p50: outcome.p50,
    p99: outcome.p99,
    refused: outcome.refused,
    broken: outcome.broken,
    server,
    // What uses no database keeps none of it busy, wherever it runs.
    database: connection ? database : 0,
    background: connection ? (connection.application === undefined ? undefined : background) : 0,
    resident,
    stolen,
  };
}

function describe({ rate, p50, p99, refused, broken, server, database }: Sample): string {
  const errors = refused + broken > 0 ? `, ${formatCount(refused)} refused, ${formatCount(broken)} broken` : '';
  const latency = Number.isNaN(p50) ? '' : `p50 ${formatDecimal(p50)} ms, p99 ${formatDecimal(p99)} ms, `;
  return `${formatCount(rate)}/s, ${latency}` + `cores ${formatDecimal(server)} + ${formatDecimal(database)}${errors}`;
}

/** Warms everybody up, then lets them take turns: A B C A B C, so that the moods of the machine meet all of them. */
export async function takeTurns(
  scenario: string,
  contestants: readonly Contestant[],
  { rounds, seconds, warmUp }: Rounds,
  postgres: Postgres,
): Promise<Row[]> {
  for (const contestant of contestants) {
    say(`[${scenario}] ${contestant.name}: warming up`);
    await (contestant.warmUp ? contestant.warmUp() : contestant.load(warmUp));
  }
  const samples = contestants.map((): Sample[] => []);
  for (let round = 1; round <= rounds; round++) {
    for (const [i, contestant] of contestants.entries()) {
      await contestant.before?.();
      const sample = await measureOnce(contestant, seconds, postgres);
      await contestant.after?.();
      samples[i]?.push(sample);
      say(`[${scenario} ${round}/${rounds}] ${contestant.name}: ${describe(sample)}`);
    }
  }
  return contestants.map(({ name }, i) => ({
    contestant: name,
    median: medianSample(samples[i] ?? []),
    samples: samples[i] ?? [],
  }));
}
