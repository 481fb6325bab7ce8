import { type EmbeddedPostgres, startEmbedded } from '@kohort/embedded/start.ts';
import type { Config } from '../config.ts';
import { announce } from './announce.ts';
import { asListenRefusal } from './refusals.ts';
import { drawSecret } from './secret.ts';
import { createStopper, stopEmbedded } from './stop.ts';
import { claimPort, startWorkers, type Workers } from './workers.ts';

/** The supervisor of several processes: it holds the embedded PostgreSQL, if there is one, and serves nothing itself. */
export async function supervise(config: Config): Promise<void> {
  const jwtSecret = config.jwtSecret ?? (await drawSecret(config.dataDir));
  let workers: Workers | undefined;
  let postgres: Promise<EmbeddedPostgres> | undefined;
  const { stop } = createStopper(async () => {
    await workers?.stop();
    await stopEmbedded(postgres);
  }, config.drainDelay * 1000);
  process.on('SIGTERM', () => stop());
  process.on('SIGINT', () => stop());

  const port = await claimPort(config.host, config.port).catch((error) => {
    throw asListenRefusal(error, config);
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
      for (const line of greeting) announce(line);
    },
  });
  if (!(await workers.ended)) await stop(1);
}
