import { mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { findBinaries } from './binaries.ts';
import { readIfThere, readPidFile, startCluster, stopCluster } from './cluster.ts';
import { createIfMissing, readPassword, SUPERUSER } from './create.ts';
import { EmbeddedError, wordsOf } from './error.ts';
import { freePort } from './free-port.ts';
import { claim, claimRunning, isRefused } from './owner.ts';
import { type Runner, runnerFor, systemUser } from './run-as.ts';

export interface EmbeddedPostgres {
  readonly url: string;
  stop(): Promise<void>;
}

export interface EmbeddedOptions {
  /** Where the database lives; created if missing. Its data outlives restarts. */
  readonly folder: string;
  /** Settings of postgresql.conf for this start. */
  readonly settings?: Readonly<Record<string, string>>;
}

interface Context {
  readonly folder: string;
  readonly cluster: string;
  readonly pgCtl: string;
  readonly runAs: Runner;
  readonly password: string;
  readonly settings: Readonly<Record<string, string>>;
}

interface Running {
  readonly port: number;
  /** The connection that holds the lock of the cluster's owner. */
  readonly owner: pg.Client;
}

const DATABASE = 'kohort';
const MAX_STARTS = 8;
const START_PAUSE_MS = 500;
const WATCH_PAUSE_MS = 200;

/**
 * Starts the PostgreSQL of evaluation mode on a free port of 127.0.0.1, and creates its cluster on the first start. Takes over
 * a PostgreSQL that a killed service left running, and restarts one that dies.
 * @throws EmbeddedError when another service is using the folder, or PostgreSQL cannot be started there.
 */
export async function startEmbedded({ folder, settings = {} }: EmbeddedOptions): Promise<EmbeddedPostgres> {
  const cluster = resolve(folder, 'postgres');
  const { initdb, pg_ctl: pgCtl } = await findBinaries();
  const identity = await systemUser();
  await mkdir(folder, { recursive: true }).catch((error) => {
    throw new EmbeddedError(`DATA_DIR ${folder} cannot be created: ${wordsOf(error)}.`);
  });
  const runAs = await runnerFor(identity, [cluster, pgCtl]);
  await createIfMissing(runAs, initdb, identity, cluster);
  const password = await readPassword(cluster);
  const context: Context = { folder: resolve(folder), cluster, pgCtl, runAs, password, settings };
  const running = await bringUp(context);
  await createDatabase(running.owner);
  return { url: urlOf(context, running.port, DATABASE), stop: keepAlive(context, running) };
}

function urlOf({ password }: Context, port: number, database = 'postgres'): string {
  return `postgres://${SUPERUSER}:${password}@127.0.0.1:${port}/${database}`;
}

/** Takes over a running PostgreSQL, or starts one. Retries, because the remains of a killed postmaster linger for a moment. */
async function bringUp(context: Context): Promise<Running> {
  for (let attempt = 1; ; attempt++) {
    const left = await readPidFile(context.cluster);
    const owner = left && (await claimRunning(urlOf(context, left.port), context.folder));
    if (left && owner) return { port: left.port, owner };
    const port = await freePort();
    try {
      await start(context, port);
      return { port, owner: await claim(urlOf(context, port), context.folder) };
    } catch (error) {
      if (error instanceof EmbeddedError) throw error;
      if (attempt === MAX_STARTS) throw await asStartError(context, error);
      await sleep(START_PAUSE_MS);
    }
  }
}

async function asStartError({ cluster }: Context, error: unknown): Promise<EmbeddedError> {
  const log = (await readIfThere(logFileOf(cluster)))?.trim().split('\n').slice(-3).join(' | ');
  return new EmbeddedError(`The embedded PostgreSQL does not start in ${cluster}: ${log ?? wordsOf(error)}`);
}

function logFileOf(cluster: string): string {
  return join(cluster, 'postgres.log');
}

async function start({ runAs, pgCtl, cluster, settings }: Context, port: number): Promise<void> {
  await startCluster(runAs, pgCtl, { folder: cluster, logFile: logFileOf(cluster), port, settings });
}

/** Restarts a PostgreSQL that dies under a living service. @returns the function that stops both. */
function keepAlive(context: Context, { port, owner }: Running): () => Promise<void> {
  let stopping = false;
  let held = owner;
  watch();

  function watch(): void {
    held.once('end', async () => {
      while (!stopping) {
        try {
          held = await claim(urlOf(context, port), context.folder);
          return watch();
        } catch (error) {
          // If it answers, only the connection was lost. Otherwise the remains of a dead postmaster may still block a start.
          if (isRefused(error) && !stopping) await start(context, port).catch(() => sleep(WATCH_PAUSE_MS));
          else await sleep(WATCH_PAUSE_MS);
        }
      }
    });
  }

  return async () => {
    stopping = true;
    await held.end().catch(() => undefined);
    try {
      await stopCluster(context.runAs, context.pgCtl, context.cluster);
    } catch (error) {
      // A PostgreSQL that was killed is stopped already.
      const isThere = (await readPidFile(context.cluster)) !== undefined;
      if (isThere && (await claimRunning(urlOf(context, port), context.folder))) throw error;
    }
  };
}

async function createDatabase(client: pg.Client): Promise<void> {
  const { rowCount } = await client.query('SELECT FROM pg_database WHERE datname = $1', [DATABASE]);
  if (rowCount === 0) await client.query(`CREATE DATABASE ${DATABASE}`);
}
