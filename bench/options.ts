import { parseArgs } from 'node:util';

export const scenarioNames = [
  'read',
  'rules',
  'timed',
  'resolve',
  'ofrep',
  'client',
  'replica',
  'add',
  'mixed',
  'workers',
  'overload',
  'bulk',
  'sizes',
] as const;
export type ScenarioName = (typeof scenarioNames)[number];

export interface Options {
  readonly quick: boolean;
  readonly only: readonly ScenarioName[];
  /** Of which those count in which the machine was calm, but no fewer than three. */
  readonly rounds: number;
  /** Of one measured run. */
  readonly seconds: number;
  /** Seconds of the first run, which is not measured. */
  readonly warmUp: number;
  readonly connections: number;
  /** With about ten memberships each. */
  readonly users: number;
  /** Further datasets that reads are measured on, in millions of memberships. */
  readonly sizes: readonly number[];
  /** A folder that keeps the datasets for later runs; otherwise a temporary one. */
  readonly data: string | undefined;
  /** A PostgreSQL that is running already; otherwise the bench starts one. */
  readonly databaseUrl: string | undefined;
  /** A peer that is built already. */
  readonly peer: string | undefined;
  /** Whether the results are written to `bench/results`. */
  readonly save: boolean;
}

export class UsageError extends Error {
  override readonly name = 'UsageError';
}

export const usage = `npm run bench -- [options]

  --quick             a look, not a measurement: 10,000 users, 2 rounds of 1 s, nothing saved
  --only a,b          of: ${scenarioNames.join(', ')}
  --rounds N          measured runs of each contestant; those count in which the machine was calm, three at least (9)
  --seconds N         length of a measured run (4)
  --warmup N          length of the run before them (3)
  --connections N     open at once (64)
  --users N           users with about ten memberships each (100000)
  --sizes 10,50       also read at so many million memberships, where the disk allows
  --data DIR          keep the datasets there for the next time
  --peer FILE         a peer that is built already
  --save, --no-save   write bench/results/<date>-<commit>.json and .md (yes, but not with --quick)

DATABASE_URL names a PostgreSQL to use, by a role that may create databases; otherwise the bench starts its own.`;

function wholeNumber(name: string, text: string | undefined, fallback: number, max: number): number {
  if (text === undefined) return fallback;
  const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= 1 && value <= max)) throw new UsageError(`--${name} takes a whole number from 1 to ${max}.`);
  return value;
}

function isScenario(text: string): text is ScenarioName {
  return scenarioNames.some((name) => name === text);
}

function readScenarios(text: string | undefined): readonly ScenarioName[] {
  if (text === undefined) return scenarioNames;
  const asked = text.split(',').map((one) => one.trim());
  const unknown = asked.filter((one) => !isScenario(one));
  if (unknown.length > 0) throw new UsageError(`--only knows ${scenarioNames.join(', ')}; not ${unknown.join(', ')}.`);
  return scenarioNames.filter((name) => asked.includes(name));
}

/** @throws UsageError with a sentence for the person at the terminal. */
export function readOptions(args: readonly string[], env: Readonly<Record<string, string | undefined>>): Options {
  const text = { type: 'string' } as const;
  const flag = { type: 'boolean' } as const;
  let values: ReturnType<typeof parse>['values'];
  const parse = () =>
    parseArgs({
      args: [...args],
      allowNegative: true,
      options: {
        quick: flag,
        only: text,
        rounds: text,
        seconds: text,
        warmup: text,
        connections: text,
        users: text,
        sizes: text,
        data: text,
        peer: text,
        save: flag,
      },
    });
  try {
    ({ values } = parse());
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
  const quick = values.quick ?? false;
  return {
    quick,
    only: readScenarios(values.only),
    rounds: wholeNumber('rounds', values.rounds, quick ? 2 : 9, 100),
    seconds: wholeNumber('seconds', values.seconds, quick ? 1 : 4, 600),
    warmUp: wholeNumber('warmup', values.warmup, quick ? 1 : 3, 60),
    connections: wholeNumber('connections', values.connections, 64, 4_096),
    users: wholeNumber('users', values.users, quick ? 10_000 : 100_000, 10_000_000),
    sizes: (values.sizes?.split(',') ?? []).map((one) => wholeNumber('sizes', one.trim(), 0, 100)),
    data: values.data,
    databaseUrl: env.DATABASE_URL === '' ? undefined : env.DATABASE_URL,
    peer: values.peer,
    save: values.save ?? !quick,
  };
}
