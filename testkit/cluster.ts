import { randomBytes } from 'node:crypto';
import { appendFile, chmod, chown, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Binaries, findBinaries } from '@kohort/embedded/binaries.ts';
import { initCluster, readPidFile, startCluster, stopCluster } from '@kohort/embedded/cluster.ts';
import { freePort } from '@kohort/embedded/free-port.ts';
import { runnerFor, systemUser } from '@kohort/embedded/run-as.ts';
import type pg from 'pg';
import { connected as connectedTo } from './nodes.ts';
import { atEnd, childrenOf, run, signalPid } from './processes.ts';
import { reap } from './reaper.ts';

export interface Cluster {
  /** The URL of the database `kohort`, as the service's role: its owner, but no superuser. */
  readonly url: string;
  readonly port: number;
  readonly folder: string;
  /** The URL of another database, as the same role. */
  urlOf(database: string): string;
  /** The environment for PostgreSQL's own clients: address and superuser. */
  readonly environment: Readonly<Record<string, string>>;
  /** Runs `work` as the superuser. */
  connected<T>(work: (client: pg.Client) => Promise<T>, database?: string): Promise<T>;
  /** Starts it again after any failure; resolves when it accepts connections. */
  start(): Promise<void>;
  isRunning(): Promise<boolean>;
  /** SIGKILL to all its processes at once: what a crash of the machine's PostgreSQL looks like. */
  kill(): Promise<void>;
  /** SIGSTOP to all its processes: it stops answering, and its sockets stay open. */
  freeze(): Promise<void>;
  thaw(): Promise<void>;
  stop(): Promise<void>;
  /** Creates a streaming replica; stops this server for a moment to copy it. */
  createStandby(): Promise<Cluster>;
  /** Promotes a standby. */
  promote(): Promise<void>;
}

export interface ClusterOptions {
  readonly tools?: Binaries;
  /** The encoding of the cluster's templates; `initdb` chooses `SQL_ASCII` under LC_ALL=C. The database is always in UTF-8. */
  readonly encoding?: 'UTF8' | 'SQL_ASCII';
  readonly settings?: Readonly<Record<string, string>>;
  /** Puts the data, or the write-ahead log, on a memory file system of this size; the rest is on disk. */
  readonly small?: { readonly what: 'data' | 'wal'; readonly mebibytes: number };
}

const maxStarts = 40;
const TOOLS = ['initdb', 'pg_ctl', 'pg_dump', 'createdb', 'pg_restore'];
const SUPERUSER = 'postgres';
/** Role of the service, and its database. */
const SERVICE = 'kohort';

export class Unsupported extends Error {}

/** What a Debian-like machine has installed: server and clients of one version, or undefined. */
export async function installedTools(): Promise<
  (Binaries & { readonly version: string; readonly bin: string }) | undefined
> {
  const root = '/usr/lib/postgresql';
  const versions = await readdir(root).catch((): string[] => []);
  for (const version of versions.sort((a, b) => Number(b) - Number(a))) {
    const bin = join(root, version, 'bin');
    const names = await readdir(bin).catch((): string[] => []);
    if (Number(version) >= 15 && TOOLS.every((name) => names.includes(name))) {
      return { version, bin, initdb: join(bin, 'initdb'), pg_ctl: join(bin, 'pg_ctl') };
    }
  }
  return undefined;
}

async function mountSmall(folder: string, mebibytes: number): Promise<void> {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) {
    throw new Unsupported('a small file system can be mounted by root on Linux only');
  }
  await run('mount', ['-t', 'tmpfs', '-o', `size=${mebibytes}m,mode=700`, 'tmpfs', folder]).catch((error) => {
    throw new Unsupported(`mount -t tmpfs is refused here: ${error instanceof Error ? error.message : error}`);
  });
  atEnd(async () => void (await run('umount', [folder]).catch(() => run('umount', ['-l', folder]))));
}

/** Makes the folders and runs initdb; nothing is started yet. */
async function initialise({ tools, encoding = 'UTF8', settings = {}, small }: ClusterOptions) {
  const { initdb, pg_ctl } = tools ?? (await findBinaries());
  const identity = await systemUser();
  const base = await mkdtemp(join(tmpdir(), 'kohort-faults-'));
  await chmod(base, 0o755);
  atEnd(() => rm(base, { recursive: true, force: true, maxRetries: 5 }));
  const [folder, wal] = [join(base, 'data'), join(base, 'wal')];
  const password = randomBytes(18).toString('base64url');
  for (const one of [folder, wal]) await mkdir(one, { mode: 0o700 });
  if (small) await mountSmall(small.what === 'data' ? folder : wal, small.mebibytes);
  if (identity) for (const one of [base, folder, wal]) await chown(one, identity.uid, identity.gid);
  const runAs = await runnerFor(identity, [folder, pg_ctl]);
  const port = await freePort();
  reap({ folder: base });
  reap({ cluster: folder });

  const args = [`--waldir=${wal}`, '--no-sync', `--encoding=${encoding}`, '--locale=C'];
  if (small) args.push('--wal-segsize=1');
  await initCluster(runAs, initdb, identity, { folder, superuser: SUPERUSER, password, args });
  const options = {
    folder,
    logFile: join(base, 'postgres.log'),
    port,
    settings: {
      max_connections: '120',
      shared_buffers: '64MB',
      ...(small && { max_wal_size: '16MB', min_wal_size: '2MB' }),
      ...settings,
    },
  };
  return { pg_ctl, runAs, identity, password, wal, options };
}

const clientOptions = { application_name: 'faults', connectionTimeoutMillis: 3_000, query_timeout: 60_000 };

async function killAll(pids: readonly number[]): Promise<void> {
  const [postmasterPid] = pids;
  if (postmasterPid === undefined || !signalPid(postmasterPid, 'SIGKILL')) throw new Error('there is nothing to kill');
  for (const pid of pids.slice(1)) signalPid(pid, 'SIGKILL');
  for (let i = 0; i < 100 && pids.some((pid) => signalPid(pid, 0)); i++) await sleep(20);
}

async function freezeAll(pid: number | undefined): Promise<number[]> {
  if (pid === undefined) throw new Error('there is nothing to freeze');
  // The postmaster first, so that it cannot start a process that would be missed.
  if (!signalPid(pid, 'SIGSTOP')) throw new Error('there is nothing to freeze');
  const frozen = [pid, ...(await childrenOf(pid))];
  for (const one of frozen) signalPid(one, 'SIGSTOP');
  return frozen;
}

type Initialised = Awaited<ReturnType<typeof initialise>>;

/** A PostgreSQL of our own that the harness, not the service, starts, kills and starts again. */
export async function createCluster(clusterOptions: ClusterOptions = {}): Promise<Cluster> {
  const made = await initialise(clusterOptions);
  const cluster = control(made, clusterOptions.small?.what === 'wal' ? made.wal : made.options.folder);
  await cluster.start();
  await cluster.connected(async (client) => {
    await client.query(`CREATE ROLE ${SERVICE} LOGIN PASSWORD '${made.password}'`);
    await client.query(`CREATE DATABASE ${SERVICE} OWNER ${SERVICE} ENCODING 'UTF8' TEMPLATE template0`);
  }, 'postgres');
  return cluster;
}

/** A copy of a stopped cluster that follows it once both run. */
async function copyAsStandby(primary: Initialised): Promise<Initialised> {
  const { options, password, identity } = primary;
  const base = await mkdtemp(join(tmpdir(), 'kohort-standby-'));
  await chmod(base, 0o755);
  atEnd(() => rm(base, { recursive: true, force: true, maxRetries: 5 }));
  const folder = join(base, 'data');
  reap({ folder: base });
  reap({ cluster: folder });
  // Followed, so that the copy has a log of its own.
  await run('cp', ['-RLp', options.folder, folder]);
  const port = await freePort();
  const signal = join(folder, 'standby.signal');
  const settings = join(folder, 'postgresql.auto.conf');
  const source = `host=127.0.0.1 port=${options.port} user=${SUPERUSER} password=${password}`;
  await writeFile(signal, '');
  await appendFile(settings, `primary_conninfo = '${source}'\n`);
  if (identity) for (const one of [base, signal]) await chown(one, identity.uid, identity.gid);
  return { ...primary, wal: folder, options: { ...options, folder, port, logFile: join(base, 'postgres.log') } };
}

async function startUntilAnswers(made: Initialised, answers: () => Promise<boolean>): Promise<void> {
  const { runAs, pg_ctl, options } = made;
  for (let attempt = 1; ; attempt++) {
    try {
      await startCluster(runAs, pg_ctl, options);
    } catch (error) {
      // The remains of a killed server block a start for a moment.
      if (!(await answers()) && attempt >= maxStarts) throw error;
    }
    if (await answers()) return;
    await sleep(100);
  }
}

function control(made: Initialised, shownFolder: string): Cluster {
  const { pg_ctl, runAs, password, options } = made;
  const { folder, port } = options;

  const urlAs = (role: string, database: string) => `postgres://${role}:${password}@127.0.0.1:${port}/${database}`;
  const urlOf = (database: string) => urlAs(SERVICE, database);
  let frozen: number[] = [];

  const connected = <T>(work: (client: pg.Client) => Promise<T>, database = SERVICE) =>
    connectedTo(urlAs(SUPERUSER, database), work, clientOptions);

  const answers = () =>
    connected(async (client) => void (await client.query('SELECT 1')), 'postgres').then(
      () => true,
      () => false,
    );

  const postmaster = async () => (await readPidFile(folder))?.pid;

  async function family(): Promise<number[]> {
    const pid = await postmaster();
    return pid === undefined ? [] : [pid, ...(await childrenOf(pid))];
  }

  const start = () => startUntilAnswers(made, answers);

  async function thaw(): Promise<void> {
    for (const pid of frozen.splice(0).reverse()) signalPid(pid, 'SIGCONT');
  }

  const stop = atEnd(async () => {
    await thaw();
    await stopCluster(runAs, pg_ctl, folder, 'immediate').catch(async () => {
      for (const pid of await family()) signalPid(pid, 'SIGKILL');
    });
  });

  async function createStandby(): Promise<Cluster> {
    await stopCluster(runAs, pg_ctl, folder, 'fast');
    const standby = control(await copyAsStandby(made), folder);
    await start();
    await standby.start();
    return standby;
  }

  return {
    url: urlOf(SERVICE),
    port,
    environment: { PGHOST: '127.0.0.1', PGPORT: String(port), PGUSER: SUPERUSER, PGPASSWORD: password },
    folder: shownFolder,
    urlOf,
    connected,
    start,
    isRunning: answers,
    kill: async () => killAll(await family()),
    async freeze() {
      frozen = await freezeAll(await postmaster());
    },
    thaw,
    stop,
    createStandby,
    promote: () => runAs(pg_ctl, ['-D', folder, '-w', 'promote']),
  };
}
