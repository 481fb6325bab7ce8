import { availableParallelism } from 'node:os';
import { type Usage, watch } from './cpu.ts';
import type { Postgres } from './postgres.ts';
import { say } from './progress.ts';
import type { Target } from './service.ts';
import { calmRounds, watchSpeed } from './speed.ts';
import { median, medianOfKnown } from './statistics.ts';
import { formatCount, formatDecimal } from './table.ts';
import { meanWaits, type Waits, watchWaits } from './waits.ts';
import type { Outcome } from './wrk.ts';

/** One thing to measure. The contestants of a scenario take turns. */
export interface Contestant {
  readonly name: string;
  /** Called before each run, since `before` may have started another process; undefined for work of the bench itself. */
  readonly target: () => Target | undefined;
  /** How to find its connections in the database; undefined without any. The name of the application where connections come and go. */
  readonly connection: { readonly application: string | undefined; readonly database: string } | undefined;
  /** Puts load on it for that many seconds. */
  readonly load: (seconds: number) => Promise<Outcome>;
  /** Replaces the short load before the first round. */
  readonly warmUp?: () => Promise<void>;
  readonly before?: () => Promise<void>;
  /** Not measured: waits until the work that the load has left behind is done. */
  readonly after?: () => Promise<void>;
}

const openAgainS = 1;

/**
 * With a short load before each run, for comparisons in which some wait longer for their turn than others: the service closes
 * connections to the database that are idle for 30 s.
 */
export function openedAgain(contestant: Contestant): Contestant {
  return {
    ...contestant,
    async before() {
      await contestant.load(openAgainS);
      await contestant.before?.();
    },
  };
}

export interface Sample {
  /** Answers a second, refusals not counted. */
  readonly rate: number;
  /** Milliseconds. */
  readonly p50: number;
  readonly p99: number;
  readonly refused: number;
  readonly broken: number;
  /** Microseconds of processor time for each answer; of the database, those of the contestant's own connections. */
  readonly serverMicros: number;
  readonly databaseMicros: number | undefined;
  /** Cores kept busy. */
  readonly server: number;
  readonly database: number | undefined;
  /** The part of `database` that is no connection of the contestant: checkpoints, the log, autovacuum. */
  readonly background: number | undefined;
  /** Idle cores. */
  readonly idle: number;
  /** Threads of the server, and connections, that were ready to run but had no core; on average. */
  readonly serverQueued: number;
  readonly databaseQueued: number;
  readonly waits: Waits;
  /** MiB. */
  readonly resident: number;
  /** The share of the processors' time that other machines had. */
  readonly stolen: number;
  /** Microseconds that a fixed piece of work took beside it; not a number where that is not known. */
  readonly probed: number;
}

export interface Row {
  readonly contestant: string;
  /** Of the samples that count. */
  readonly median: Sample;
  /** Those of the rounds that count. */
  readonly samples: readonly Sample[];
  /** Those of rounds in which the machine was slower. */
  readonly others: readonly Sample[];
}

export interface Rounds {
  readonly rounds: number;
  readonly seconds: number;
  readonly warmUp: number;
}

type Figure = {
  [Name in keyof Sample]: Sample[Name] extends number ? Name : never;
}[keyof Sample];

export function medianSample(samples: readonly Sample[]): Sample {
  const of = (name: Figure) => median(samples.map((sample) => sample[name]));
  return {
    rate: of('rate'),
    p50: of('p50'),
    p99: of('p99'),
    refused: of('refused'),
    broken: of('broken'),
    serverMicros: of('serverMicros'),
    databaseMicros: medianOfKnown(samples.map(({ databaseMicros }) => databaseMicros)),
    server: of('server'),
    database: medianOfKnown(samples.map(({ database }) => database)),
    background: medianOfKnown(samples.map(({ background }) => background)),
    idle: of('idle'),
    serverQueued: of('serverQueued'),
    databaseQueued: of('databaseQueued'),
    waits: meanWaits(samples.map(({ waits }) => waits)),
    resident: of('resident'),
    stolen: of('stolen'),
    probed: of('probed'),
  };
}

/** The contestant's share of the database; zero if it has no connection, wherever the database runs. */
function databaseFigures({ connection }: Contestant, { database, seconds }: Usage, answers: number) {
  if (!connection) return { databaseMicros: 0, database: 0, background: 0 };
  if (!database) return { databaseMicros: undefined, database: undefined, background: undefined };
  const isKnown = connection.application !== undefined;
  return {
    databaseMicros: isKnown ? (database.own / answers) * 1e6 : undefined,
    database: (database.own + database.background) / seconds,
    background: isKnown ? database.background / seconds : undefined,
  };
}

/** Runs `work`, and samples meanwhile what the contestant's statements wait for. */
async function watchingWaits<T>(
  { connection }: Contestant,
  postgres: Postgres,
  work: () => Promise<T>,
): Promise<[T, Waits]> {
  const application = connection?.application;
  if (!connection || application === undefined) return [await work(), {}];
  return postgres.connected(undefined, async (client) => {
    const stopWatching = watchWaits(client, { application, database: connection.database });
    try {
      return [await work(), await stopWatching()];
    } finally {
      await stopWatching().catch(() => undefined);
    }
  });
}

async function measureOnce(contestant: Contestant, runSeconds: number, postgres: Postgres): Promise<Sample> {
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
  const probedSince = watchSpeed();
  const [outcome, waits] = await watchingWaits(contestant, postgres, () => contestant.load(runSeconds));
  const probed = probedSince();
  const usage = await stopWatching();
  const { seconds, server, queued, resident, idle, stolen } = usage;
  const answers = outcome.requests - outcome.refused;
  return {
    rate: answers / outcome.seconds,
    p50: outcome.p50,
    p99: outcome.p99,
    refused: outcome.refused,
    broken: outcome.broken,
    serverMicros: (server / answers) * 1e6,
    server: server / seconds,
    ...databaseFigures(contestant, usage, answers),
    idle: idle * availableParallelism(),
    serverQueued: queued.server / seconds,
    databaseQueued: queued.database / seconds,
    waits,
    resident,
    stolen,
    probed,
  };
}

function describe({ rate, p50, p99, refused, broken, serverMicros, databaseMicros, probed }: Sample): string {
  const errors = refused + broken > 0 ? `, ${formatCount(refused)} refused, ${formatCount(broken)} broken` : '';
  const latency = Number.isNaN(p50) ? '' : `p50 ${formatDecimal(p50)} ms, p99 ${formatDecimal(p99)} ms, `;
  const micros = `µs ${formatDecimal(serverMicros)} + ${formatDecimal(databaseMicros)}`;
  return `${formatCount(rate)}/s, ${latency}${micros}, probe ${formatDecimal(probed)}${errors}`;
}

/** What the rounds found, and which of them count: by the contestant for which the machine was slowest in each. */
export function rowsOf(contestants: readonly string[], rounds: readonly (readonly Sample[])[]): Row[] {
  const slowest = rounds.map((samples) => Math.max(...samples.map(({ probed }) => probed)));
  const counted = new Set(calmRounds(slowest));
  return contestants.map((contestant, i) => {
    const of = (counts: boolean) =>
      rounds.flatMap((samples, round) => (counted.has(round) === counts ? (samples[i] ?? []) : []));
    const samples = of(true);
    return { contestant, median: medianSample(samples), samples, others: of(false) };
  });
}

/** Warms up all contestants, then lets them take turns: A B C A B C, so that the machine's ups and downs affect all alike. */
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
  const all: Sample[][] = [];
  for (let round = 1; round <= rounds; round++) {
    const samples: Sample[] = [];
    for (const contestant of contestants) {
      await contestant.before?.();
      const sample = await measureOnce(contestant, seconds, postgres);
      await contestant.after?.();
      samples.push(sample);
      say(`[${scenario} ${round}/${rounds}] ${contestant.name}: ${describe(sample)}`);
    }
    all.push(samples);
  }
  return rowsOf(
    contestants.map(({ name }) => name),
    all,
  );
}
