import { randomBytes } from 'node:crypto';
import { link, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import type { Server } from 'node:http';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createService, type Service } from './app.ts';
import { type Config, ConfigError, readConfig } from './config.ts';
import { type EmbeddedPostgres, startEmbedded } from './embedded.ts';
import { isConnectionLost, sqlState } from './postgres/sqlstate.ts';

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

async function start(config: Config): Promise<void> {
  const jwtSecret = config.jwtSecret ?? (await drawSecret(config.dataDir));
  const service = await createService({ ...config, jwtSecret });
  let postgres: Promise<EmbeddedPostgres> | undefined;
  let stopping = false;

  async function stop(code = 0): Promise<never> {
    if (stopping) process.exit(1);
    stopping = true;
    // What is still in flight after that is cut off; the supervisor would do it a little later, and less kindly.
    setTimeout(() => process.exit(1), STOP_WITHIN + 10_000).unref();
    await Promise.race([service.stop().catch(complain), sleep(STOP_WITHIN, undefined, { ref: false })]);
    // One that is still starting would be left behind.
    await postgres?.then(
      (running) => running.stop(),
      () => undefined,
    );
    process.exit(code);
  }
  process.on('SIGTERM', () => stop());
  process.on('SIGINT', () => stop());

  try {
    // The port first: when it is taken, nothing else has been touched.
    await service.app.listen({ host: config.host, port: config.port });
  } catch (error) {
    throw asConfigError(error, config);
  }
  try {
    if (config.databaseUrl === undefined) postgres = startEmbedded({ folder: config.dataDir });
    await connect(service, config, (await postgres)?.url ?? config.databaseUrl ?? '', () => stopping);
  } catch (error) {
    if (stopping) return;
    complain(error);
    await stop(1);
  }
}

async function connect(service: Service, config: Config, url: string, isStopping: () => boolean): Promise<void> {
  for (;;) {
    try {
      const { adminPassword } = await service.connect(url);
      if (adminPassword !== undefined)
        say(`The account "admin" was created with the password ${adminPassword}  (shown this once).`);
      if (isStopping()) return;
      say(`Kohort listens on ${addressOf(service.app.server)} (documentation at /docs).`);
      if (config.mode === 'evaluation') {
        say(
          'This is evaluation mode: the seven calls of the seed need no token. Set DATABASE_URL and JWT_SECRET for production.',
        );
      }
      return;
    } catch (error) {
      // A database that is still starting, or away for a moment, is waited for; /readyz says 503 meanwhile.
      if (isRefusedByDatabase(error)) {
        throw new ConfigError(
          `The database refuses: ${error instanceof Error ? error.message : error}. Check DATABASE_URL.`,
        );
      }
      if (!isConnectionLost(error) || isStopping()) throw error;
      service.app.log.warn('the database does not answer yet');
      await sleep(RETRY_EVERY);
    }
  }
}

function complain(error: unknown): void {
  const words = error instanceof ConfigError ? error.message : error instanceof Error ? error.stack : error;
  process.stderr.write(`${words}\n`);
}

try {
  await start(readConfig(process.env));
} catch (error) {
  complain(error);
  process.exit(1);
}
