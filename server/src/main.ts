import { randomBytes } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import type { Server } from 'node:http';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createService } from './app.ts';
import { type Config, ConfigError, readConfig } from './config.ts';
import { type EmbeddedPostgres, startEmbedded } from './embedded.ts';
import { isConnectionLost } from './postgres/sqlstate.ts';

const STOP_WITHIN = 25_000;
const RETRY_EVERY = 1_000;

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** Drawn once, in evaluation mode, and kept beside the data, so that sessions outlive a restart. */
async function drawSecret(dataDir: string): Promise<string> {
  const file = join(dataDir, 'jwt-secret');
  await mkdir(dataDir, { recursive: true });
  // `wx` lets exactly one of several first starts win; the others read what it drew.
  await writeFile(file, randomBytes(48).toString('base64url'), { mode: 0o600, flag: 'wx' }).catch((error) => {
    if (error.code !== 'EEXIST') throw new ConfigError(`DATA_DIR ${dataDir} cannot be written to: ${error.message}`);
  });
  return readFile(file, 'utf8');
}

function isTaken(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'EADDRINUSE';
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
  let postgres: EmbeddedPostgres | undefined;
  let stopping = false;

  async function stop(): Promise<void> {
    if (stopping) process.exit(1);
    stopping = true;
    // What is still in flight after that is cut off; the supervisor would do it a little later, and less kindly.
    setTimeout(() => process.exit(1), STOP_WITHIN + 10_000).unref();
    await Promise.race([service.stop(), sleep(STOP_WITHIN, undefined, { ref: false })]);
    await postgres?.stop();
    process.exit(0);
  }
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);

  try {
    // The port first: when it is taken, nothing else has been touched.
    await service.app.listen({ host: config.host, port: config.port });
  } catch (error) {
    if (isTaken(error))
      throw new ConfigError(`Port ${config.port} on ${config.host} is taken. Stop what uses it, or set PORT.`);
    throw error;
  }
  if (config.databaseUrl === undefined) postgres = await startEmbedded({ folder: config.dataDir });
  const url = postgres?.url ?? config.databaseUrl ?? '';

  for (;;) {
    try {
      const { adminPassword } = await service.connect(url);
      if (stopping) return;
      say(`Kohort listens on ${addressOf(service.app.server)} (documentation at /docs).`);
      if (config.mode === 'evaluation') {
        say(
          'This is evaluation mode: the seven calls of the seed need no token. Set DATABASE_URL and JWT_SECRET for production.',
        );
      }
      if (adminPassword !== undefined)
        say(`The account "admin" was created with the password ${adminPassword}  (shown this once).`);
      return;
    } catch (error) {
      // A database that is still starting, or away for a moment, is waited for; /readyz says 503 meanwhile.
      if (!isConnectionLost(error) || stopping) throw error;
      service.app.log.warn('the database does not answer yet');
      await sleep(RETRY_EVERY);
    }
  }
}

try {
  await start(readConfig(process.env));
} catch (error) {
  process.stderr.write(
    `${error instanceof ConfigError ? error.message : error instanceof Error ? error.stack : error}\n`,
  );
  process.exit(1);
}
