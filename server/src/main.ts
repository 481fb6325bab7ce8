import cluster from 'node:cluster';
import { randomBytes } from 'node:crypto';
import { link, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import type { Server } from 'node:http';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { EmbeddedError } from '@kohort/embedded/error.ts';
import { type EmbeddedPostgres, startEmbedded } from '@kohort/embedded/start.ts';
import { createService, type Service } from './app.ts';
import { type Config, ConfigError, readConfig } from './config.ts';
import { CommitUnknown, isConnectionLost, sqlState } from './postgres/errors.ts';
import {
  claimPort,
  joinsOthers,
  listenOptions,
  metricsOfAll,
  reportReady,
  startWorkers,
  type Workers,
  whenOrphaned,
} from './process/supervise.ts';

const STOP_WITHIN = 25_000;
const RETRY_EVERY = 1_000;

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** Drawn once, in evaluation mode, and kept beside the data, so that sessions outlive a restart. */
async function drawSecret(dataDir: string): Promise<string> {
  const file = join(dataDir, 'jwt-secret');
  try {
    await mkdir(dataDir, { recursive: true });
    // Written whole, then linked: exactly one of several first starts wins, and the others read what it drew.
    const draft = `${file}.${process.pid}`;
    await writeFile(draft, randomBytes(48).toString('base64url'), { mode: 0o600 });
    await link(draft, file).catch((error) => {
      if (codeOf(error) !== 'EEXIST') throw error;
    });
    await rm(draft);
    return (await readFile(file, 'utf8')).trim();
  } catch (error) {
    throw new ConfigError(`DATA_DIR ${dataDir} cannot be used: ${error instanceof Error ? error.message : error}.`);
  }
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error ? String(error.code) : undefined;
}

/** What the person who starts it can mend, in a sentence; anything else as it is. */
function asConfigError(error: unknown, { host, port }: Config): unknown {
  switch (codeOf(error)) {
    case 'EADDRINUSE':
      return new ConfigError(`Port ${port} on ${host} is taken. Stop what uses it, or set PORT.`);
    case 'EACCES':
      return new ConfigError(`Port ${port} on ${host} may not be used by this user. Set PORT to one above 1023.`);
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return new ConfigError(`HOST is "${host}", which is no address of this machine.`);
    default:
      return error;
  }
}

/** What a wrong DATABASE_URL meets: no such user, password or database, or no right to make tables in it. */
function isRefusedByDatabase(error: unknown): boolean {
  const state = sqlState(error) ?? '';
  return state.startsWith('28') || state === '3D000' || state === '42501';
}

/** As a browser takes it. */
function addressOf(server: Server): string {
  const address = server.address();
  if (typeof address !== 'object' || !address) return String(address);
  const host = address.family === 'IPv6' ? `[${address.address}]` : address.address;
  return `http://${host === '127.0.0.1' ? 'localhost' : host}:${address.port}`;
}

/** Stops once, within its time; a second signal ends the process at once. */
function stopper(stop: () => Promise<void>): { isStopping: () => boolean; stop: (code?: number) => Promise<never> } {
  let stopping = false;
  return {
    isStopping: () => stopping,
    async stop(code = 0) {
      if (stopping) process.exit(1);
      stopping = true;
      // What is still in flight after that is cut off; whoever supervises us would do it a little later, and less kindly.
      setTimeout(() => process.exit(1), STOP_WITHIN + 10_000).unref();
      await stop();
      process.exit(code);
    },
  };
}

/** One process that serves, alone or as one of several workers. */
async function serve(config: Config): Promise<void> {
  const jwtSecret = config.jwtSecret ?? (await drawSecret(config.dataDir));
  const service = await createService(
    { ...config, jwtSecret },
    {
      renderMetrics: cluster.isWorker ? metricsOfAll : undefined,
    },
  );
  let postgres: Promise<EmbeddedPostgres> | undefined;
  let listening: Promise<unknown> | undefined;
  const { stop, isStopping } = stopper(async () => {
    // A port that opened after the service has stopped would take calls that nobody answers.
    await listening?.catch(() => undefined);
    await Promise.race([
      service.stop().catch(complain),
      sleep(STOP_WITHIN + config.drainDelay * 1000, undefined, { ref: false }),
    ]);
    await stopEmbedded(postgres);
  });
  // Where all processes are sent it, a worker has it from its supervisor once more.
  process.on('SIGTERM', () => (cluster.isWorker && isStopping() ? undefined : stop()));
  // A terminal's Ctrl-C reaches all processes; workers are stopped by their supervisor, or when it is gone.
  process.on('SIGINT', () => (cluster.isWorker ? undefined : stop()));
  whenOrphaned(() => stop());

  const listen = async () => {
    if (isStopping()) return;
    listening = service.app.listen({ host: config.host, port: config.port, ...listenOptions });
    await listening.catch((error) => {
      throw asConfigError(error, config);
    });
  };
  // The port first: when it is taken, nothing else has been touched. One that joins others takes no call before it can
  // answer it.
  if (!joinsOthers()) await listen();
  try {
    if (config.databaseUrl === undefined) postgres = startEmbedded({ folder: config.dataDir });
    const url = (await postgres)?.url ?? config.databaseUrl ?? '';
    const { adminPassword } = await connect(service, url, isStopping);
    if (joinsOthers()) await listen();
    const greeting = greetingOf(service, config, adminPassword);
    if (cluster.isWorker) reportReady(greeting);
    else for (const line of greeting) say(line);
  } catch (error) {
    if (isStopping()) return;
    complain(error);
    await stop(1);
  }
}

/** One that would still be starting is waited for, or it would be left behind. */
async function stopEmbedded(postgres: Promise<EmbeddedPostgres> | undefined): Promise<void> {
  await postgres?.then(
    (running) => running.stop(),
    () => undefined,
  );
}

/** The supervisor of several processes: it holds the embedded PostgreSQL, if there is one, and serves nothing itself. */
async function supervise(config: Config): Promise<void> {
  const jwtSecret = config.jwtSecret ?? (await drawSecret(config.dataDir));
  let workers: Workers | undefined;
  let postgres: Promise<EmbeddedPostgres> | undefined;
  const { stop } = stopper(async () => {
    await workers?.stop();
    await stopEmbedded(postgres);
  });
  process.on('SIGTERM', () => stop());
  process.on('SIGINT', () => stop());

  const port = await claimPort(config.host, config.port).catch((error) => {
    throw asConfigError(error, config);
  });
  if (config.databaseUrl === undefined) postgres = startEmbedded({ folder: config.dataDir });
  workers = startWorkers({
    count: config.workers,
    env: {
      MODE: config.mode,
      PORT: String(port),
      DATABASE_URL: (await postgres)?.url ?? config.databaseUrl ?? '',
      JWT_SECRET: jwtSecret,
    },
    onReady: (greeting) => {
      for (const line of greeting) say(line);
    },
  });
  if (!(await workers.ended)) await stop(1);
}

function greetingOf({ app }: Service, config: Config, adminPassword: string | undefined): string[] {
  return [
    `Kohort listens on ${addressOf(app.server)} (documentation at /docs).`,
    ...(config.mode === 'evaluation'
      ? [
          'This is evaluation mode: the seven calls of the seed need no token. Set DATABASE_URL and JWT_SECRET for production.',
        ]
      : []),
    ...(adminPassword === undefined
      ? []
      : [`The account "admin" was created with the password ${adminPassword}  (shown this once).`]),
  ];
}

/** Connects, however long the database takes to come up. */
async function connect(service: Service, url: string, isStopping: () => boolean): ReturnType<Service['connect']> {
  for (;;) {
    try {
      return await service.connect(url);
    } catch (error) {
      // A database that is still starting, or away for a moment, is waited for; /readyz says 503 meanwhile.
      if (isRefusedByDatabase(error)) {
        throw new ConfigError(
          `The database refuses: ${error instanceof Error ? error.message : error}. Check DATABASE_URL.`,
        );
      }
      if (!(isConnectionLost(error) || error instanceof CommitUnknown) || isStopping()) throw error;
      service.app.log.warn('the database does not answer yet');
      await sleep(RETRY_EVERY);
    }
  }
}

function complain(error: unknown): void {
  const isForPerson = error instanceof ConfigError || error instanceof EmbeddedError;
  const words = isForPerson ? error.message : error instanceof Error ? error.stack : error;
  process.stderr.write(`${words}\n`);
}

try {
  const config = readConfig(process.env);
  await (config.workers > 1 && cluster.isPrimary ? supervise(config) : serve(config));
} catch (error) {
  complain(error);
  process.exit(1);
}
