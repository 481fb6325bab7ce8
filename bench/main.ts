import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { atEnd, endAll, endOnSignals, isInstalled } from '@kohort/testkit/processes.ts';
import { type Dataset, prepareDataset, SEGMENTS } from './dataset.ts';
import { describeMachine, readCommit, readNewestSchema } from './machine.ts';
import { type Options, readOptions, UsageError, usage } from './options.ts';
import { type Postgres, startPostgres } from './postgres.ts';
import { say } from './progress.ts';
import type { Findings } from './ratio.ts';
import { type Report, renderReport } from './report.ts';
import { buildPeer, startBare, startPeer } from './rivals.ts';
import { scenarios } from './scenarios/index.ts';
import type { Target } from './service.ts';
import { startProbes } from './speed.ts';
import { createAdder, type Stage, startAnother } from './stage.ts';

const DATABASE = 'kohort_bench_run';
const RESULTS = join(import.meta.dirname, 'results');
const isStopping = endOnSignals();

async function findPeer({ peer }: Options, folder: string): Promise<string | undefined> {
  if (peer !== undefined) return resolve(peer);
  say('building the peer');
  const built = await buildPeer(folder);
  if ('binary' in built) return built.binary;
  say(`There is no peer to compare with: ${built.missing}`);
  return undefined;
}

/** Copies the dataset, so that the original stays unchanged. */
async function copyDataset(postgres: Postgres, { database }: Dataset): Promise<void> {
  await postgres.drop(DATABASE);
  await postgres.create(DATABASE, database);
  atEnd(() => postgres.drop(DATABASE));
}

async function setStage(options: Options): Promise<Stage> {
  const folder = await mkdtemp(join(tmpdir(), 'kohort-bench-'));
  atEnd(() => rm(folder, { recursive: true, force: true }));
  const dataFolder = options.data === undefined ? folder : resolve(options.data);
  await mkdir(dataFolder, { recursive: true });
  const peerBinary = await findPeer(options, folder);

  say(
    options.databaseUrl === undefined ? `starting PostgreSQL in ${dataFolder}` : 'using the PostgreSQL of DATABASE_URL',
  );
  const postgres = await startPostgres(dataFolder, options.databaseUrl);
  const newestSchema = await readNewestSchema();
  const dataset = await prepareDataset(
    postgres,
    { users: options.users, complete: true },
    { folder: dataFolder, newestSchema },
  );
  if (options.data === undefined) atEnd(() => postgres.drop(dataset.database));
  await copyDataset(postgres, dataset);

  const peer: Target | undefined = peerBinary ? await startPeer(peerBinary, postgres.urlOf(DATABASE)) : undefined;
  const bare = await startBare();
  const { service, tokens } = await startAnother({ postgres, folder }, DATABASE);
  return {
    options,
    postgres,
    newestSchema,
    folder,
    dataFolder,
    dataset,
    database: DATABASE,
    service,
    tokens,
    peer,
    bare,
    add: createAdder(dataset),
  };
}

async function play(stage: Stage): Promise<Record<string, Findings>> {
  const findings: Record<string, Findings> = {};
  for (const name of stage.options.only) {
    try {
      findings[name] = await scenarios[name](stage);
    } catch (error) {
      if (isStopping()) throw error;
      const reason = error instanceof Error ? (error.stack ?? error.message) : String(error);
      say(`[${name}] failed: ${reason}`);
      findings[name] = { rows: [], ratios: [], notes: [`${name}: FAILED: ${reason.split('\n')[0]}`] };
    }
  }
  return findings;
}

async function save(report: Report, text: string): Promise<void> {
  await mkdir(RESULTS, { recursive: true });
  const file = join(RESULTS, `${report.at.slice(0, 10)}-${report.commit}`);
  await writeFile(`${file}.json`, `${JSON.stringify(report, undefined, 2)}\n`);
  await writeFile(`${file}.md`, text);
  say(`written to ${file}.md and .json`);
}

async function bench(options: Options): Promise<void> {
  if (!(await isInstalled('wrk')))
    throw new UsageError('wrk, which makes the load, is not installed: apt-get install wrk');
  const began = performance.now();
  // Read now: the tree may change during the measurement, but the processes have been started from it.
  const commit = await readCommit();
  await startProbes();
  const stage = await setStage(options);
  const findings = await play(stage);
  const { users, memberships } = stage.dataset;
  const { rounds, seconds, warmUp, connections } = options;
  const report: Report = {
    at: new Date().toISOString(),
    commit,
    machine: describeMachine(),
    node: process.version.slice(1),
    postgres: stage.postgres.version,
    dataset: { users, memberships, segments: SEGMENTS },
    load: { rounds, seconds, warmUp, connections },
    findings,
  };
  const text = renderReport(report);
  say(`\n${text}`);
  if (options.save) await save(report, text);
  say(`done in ${Math.round((performance.now() - began) / 1000)} s`);
}

try {
  if (process.argv.includes('--help')) say(usage);
  else await bench(readOptions(process.argv.slice(2), process.env));
} catch (error) {
  if (!isStopping()) {
    const isOurs = error instanceof UsageError;
    process.stderr.write(`${isOurs ? error.message : error instanceof Error ? error.stack : error}\n`);
    process.exitCode = isOurs ? 2 : 1;
  }
}
if (!isStopping()) await endAll();
