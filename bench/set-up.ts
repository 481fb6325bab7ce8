import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { readStats, treeOf } from '@kohort/testkit/proc.ts';
import { atEnd, endAll, endOnSignals } from '@kohort/testkit/processes.ts';
import { fillDatabase } from './dataset.ts';
import { say } from './progress.ts';
import { type Service, startService, writeTokens } from './service.ts';
import { median } from './statistics.ts';
import { formatCount, formatDecimal, renderTable } from './table.ts';
import { drive, type Load } from './wrk.ts';

/**
 * Measures reads of the service on the databases that DATABASE_URL, DIRECT_DATABASE_URL and READ_DATABASE_URL name, as in production:
 * one PostgreSQL, a pooler, a replica, Citus. `node scripts/run.mjs bench/set-up.ts [options]`
 *
 *   --fill           fills the empty database of DATABASE_URL, and measures nothing
 *   --users N        with about ten memberships each (100000)
 *   --rounds N       of each load; their median counts (3)
 *   --seconds N      length of a load (6)
 *   --database PID   a process that is part of the database, with its children: a postmaster, a pooler; as often as needed
 *   --eventual       reads with `Consistency: eventual`, which a replica may answer
 */

const callUsers = 100;
const warmUpSeconds = 3;

const loads = [
  { name: 'single, one caller', script: 'read', connections: 1, threads: 1 },
  { name: 'single, 64 callers', script: 'read', connections: 64, threads: 2 },
  { name: `resolve of ${callUsers}, 64 callers`, script: 'resolve', connections: 64, threads: 2 },
] as const satisfies readonly (Pick<Load, 'script' | 'connections' | 'threads'> & { readonly name: string })[];

interface Sample {
  readonly p50: number;
  readonly rate: number;
  readonly refused: number;
  /** Microseconds of processor time for each answer. */
  readonly server: number;
  readonly database: number;
}

function readOptions() {
  const { values } = parseArgs({
    options: {
      fill: { type: 'boolean' },
      users: { type: 'string' },
      rounds: { type: 'string' },
      seconds: { type: 'string' },
      database: { type: 'string', multiple: true },
      eventual: { type: 'boolean' },
    },
  });
  return {
    fill: values.fill ?? false,
    users: Number(values.users ?? 100_000),
    rounds: Number(values.rounds ?? 3),
    seconds: Number(values.seconds ?? 6),
    database: (values.database ?? []).map(Number),
    eventual: values.eventual ?? false,
  };
}

type Options = ReturnType<typeof readOptions>;

/** Processor seconds that these processes and their children have used so far. */
async function usedBy(roots: readonly number[]): Promise<number> {
  const stats = await readStats();
  const pids = new Set(roots.flatMap((root) => [...treeOf(root, stats)]));
  return [...pids].reduce((sum, pid) => sum + (stats.get(pid)?.cpuSeconds ?? 0), 0);
}

async function measure(service: Service, load: Load, database: readonly number[]): Promise<Sample> {
  const before = [await usedBy([service.pid]), await usedBy(database)] as const;
  const { requests, refused, broken, seconds, p50 } = await drive(load);
  const answers = requests - refused;
  const micros = (used: number) => (used / answers) * 1e6;
  return {
    p50,
    rate: answers / seconds,
    refused: refused + broken,
    server: micros((await usedBy([service.pid])) - before[0]),
    database: database.length === 0 ? Number.NaN : micros((await usedBy(database)) - before[1]),
  };
}

function rowOf(name: string, samples: readonly Sample[]): string[] {
  const of = (figure: keyof Sample) => median(samples.map((sample) => sample[figure]));
  const refused = samples.reduce((sum, sample) => sum + sample.refused, 0);
  const micros = [of('server'), of('database')].map(formatDecimal);
  return [name, formatDecimal(of('p50')), formatCount(of('rate')), ...micros, formatCount(refused)];
}

async function compare({ users, rounds, seconds, database, eventual }: Options, service: Service): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'kohort-bench-'));
  atEnd(() => rm(folder, { recursive: true, force: true }));
  const tokens = await writeTokens(service, join(folder, 'tokens'));
  const env = { USERS: users, TOKENS: tokens, ...(eventual && { CONSISTENCY: 'eventual' }) };
  const rows = loads.map(({ name, ...load }) => ({
    name,
    load: { ...load, url: service.url, env },
    samples: [] as Sample[],
  }));
  for (const { load } of rows) await drive({ ...load, seconds: warmUpSeconds });
  for (let round = 0; round < rounds; round++) {
    for (const { load, samples } of rows) samples.push(await measure(service, { ...load, seconds }, database));
  }
  const columns = ['reads', 'p50 ms', 'answers/s', 'µs service', 'µs database', 'refused'];
  say(renderTable({ columns, rows: rows.map(({ name, samples }) => rowOf(name, samples)) }));
}

async function main(options: Options, env: Readonly<Record<string, string | undefined>>): Promise<void> {
  const { DATABASE_URL: databaseUrl, DIRECT_DATABASE_URL, READ_DATABASE_URL } = env;
  if (!databaseUrl) throw new Error('DATABASE_URL names no database');
  if (options.fill) {
    await fillDatabase(databaseUrl, { users: options.users, complete: false });
    return;
  }
  const service = await startService({
    databaseUrl,
    env: {
      ...(DIRECT_DATABASE_URL && { DIRECT_DATABASE_URL }),
      ...(READ_DATABASE_URL && { READ_DATABASE_URL }),
    },
  });
  atEnd(() => service.stop());
  await compare(options, service);
}

const isStopping = endOnSignals();
try {
  await main(readOptions(), process.env);
} catch (error) {
  if (!isStopping()) {
    process.stderr.write(`${error instanceof Error ? error.stack : error}\n`);
    process.exitCode = 1;
  }
}
if (!isStopping()) await endAll();
