import { join } from 'node:path';
import type { Dataset } from './dataset.ts';
import { SEGMENTS } from './dataset.ts';
import type { Contestant } from './measure.ts';
import type { Options } from './options.ts';
import type { Postgres } from './postgres.ts';
import type { Service, Target } from './service.ts';
import { startService, writeTokens } from './service.ts';
import { drive, type Load, type Outcome, THREADS } from './wrk.ts';

/** What exists while the scenarios run. */
export interface Stage {
  readonly options: Options;
  readonly postgres: Postgres;
  readonly newestSchema: number;
  /** The folder for files of this run. */
  readonly folder: string;
  /** The folder where datasets are kept. */
  readonly dataFolder: string;
  readonly dataset: Dataset;
  /** A copy of the dataset, for this run to change. */
  readonly database: string;
  readonly service: Service;
  readonly tokens: string;
  /** Undefined where it cannot be built. */
  readonly peer: Target | undefined;
  readonly bare: Target;
  /** Continues where the last adds to the same target ended, so that no pair is added twice. */
  add(target: Target, options: AddOptions): Promise<Outcome>;
}

export interface AddOptions {
  readonly seconds: number;
  readonly connections: number;
  readonly threads?: number;
  readonly tokens: string | undefined;
  /** Adds a second; without it, as many as possible. */
  readonly rate?: number;
}

export function createAdder({ users }: Dataset): Stage['add'] {
  const walked = new Map<Target, number>();
  return async (target, { seconds, connections, threads = THREADS, tokens, rate }) => {
    const start = walked.get(target) ?? 0;
    const outcome = await drive({
      script: 'add',
      url: target.url,
      seconds,
      connections,
      threads,
      env: {
        USERS: users,
        FIRST: users + 1,
        SEGMENTS,
        START: start,
        TOKENS: tokens ?? '',
        ...(rate !== undefined && { RATE: Math.max(1, Math.round(rate)) }),
      },
    });
    const end = start + (outcome.issued + 1) * threads;
    if (end > users * SEGMENTS) throw new Error('all pairs are added: take more users, or shorter runs');
    walked.set(target, end);
    return outcome;
  };
}

/** Reads of random users of the dataset. */
export function readLoad(
  { dataset, options }: Pick<Stage, 'dataset' | 'options'>,
  target: Target,
  { tokens, users = dataset.users, connections = options.connections }: ReadOptions,
): (seconds: number) => Promise<Outcome> {
  return (seconds) => {
    const load: Load = {
      script: 'read',
      url: target.url,
      seconds,
      connections,
      env: { USERS: users, TOKENS: tokens ?? '' },
    };
    return drive(load);
  };
}

export interface ReadOptions {
  readonly tokens: string | undefined;
  readonly users?: number;
  readonly connections?: number;
}

/** Reads of the service that runs on the stage. */
export function plainRead(stage: Stage, name: string, connections = stage.options.connections): Contestant {
  return {
    name,
    target: () => stage.service,
    connection: { application: 'kohort', database: stage.database },
    load: readLoad(stage, stage.service, { tokens: stage.tokens, connections }),
  };
}

/** Starts another process of the service, on the same or another database, with tokens for it. */
export async function startAnother(
  { postgres, folder }: Pick<Stage, 'postgres' | 'folder'>,
  database: string,
  env: Readonly<Record<string, string>> = {},
): Promise<{ service: Service; tokens: string }> {
  const service = await startService({ databaseUrl: postgres.urlOf(database), env });
  return { service, tokens: await writeTokens(service, join(folder, `tokens-${database}`)) };
}
