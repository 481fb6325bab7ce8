import cluster from 'node:cluster';
import { setTimeout as sleep } from 'node:timers/promises';
import { type EmbeddedPostgres, startEmbedded } from '@kohort/embedded/start.ts';
import { createService, type Service } from '../app.ts';
import type { Config } from '../config.ts';
import { CommitUnknown, isConnectionLost, WritesStopped } from '../postgres/errors.ts';
import { announce, greetingOf } from './announce.ts';
import { asListenRefusal, codeOf, complain, databaseRefusal } from './refusals.ts';
import { drawSecret } from './secret.ts';
import { createStopper, type Stopper, stopEmbedded, stopWithinMs } from './stop.ts';
import { joinsOthers, listenOptions, metricsOfAll, reportReady, whenOrphaned } from './workers.ts';

const retryEveryMs = 1_000;
/** Of a database that stays away: the log says so at first, then ever more seldom. */
const maxRetriesUnlogged = 60;

/** One process that serves, alone or as one of several workers. */
export async function serve(config: Config): Promise<void> {
  const jwtSecret = config.jwtSecret ?? (await drawSecret(config.dataDir));
  const renderMetrics = cluster.isWorker ? metricsOfAll : undefined;
  const service = await createService({ ...config, jwtSecret }, { renderMetrics });
  const delayMs = config.drainDelay * 1000;
  let postgres: Promise<EmbeddedPostgres> | undefined;
  let listening: Promise<unknown> | undefined;
  const stopper = createStopper(async () => {
    // A port that opened after the service has stopped would take calls that are never answered.
    await listening?.catch(() => undefined);
    const late = sleep(delayMs + stopWithinMs, undefined, { ref: false });
    await Promise.race([service.stop().catch(complain), late]);
    await stopEmbedded(postgres);
  }, delayMs);
  stopOnSignals(stopper);

  const listen = async () => {
    if (stopper.isStopping()) return;
    listening = service.app.listen({ host: config.host, port: config.port, ...listenOptions });
    await listening.catch((error) => {
      throw asListenRefusal(error, config);
    });
  };
  // The port first: when it is taken, nothing else has been touched. A worker that joins others takes no call before it can
  // answer it.
  if (!joinsOthers()) await listen();
  try {
    if (config.databaseUrl === undefined) postgres = startEmbedded({ folder: config.dataDir });
    const url = (await postgres)?.url ?? config.databaseUrl ?? '';
    const { adminPassword } = await connect(service, url, stopper.isStopping);
    if (joinsOthers()) await listen();
    const greeting = greetingOf(service.app.server, config, adminPassword);
    if (cluster.isWorker) reportReady(greeting);
    else for (const line of greeting) announce(line);
  } catch (error) {
    if (stopper.isStopping()) return;
    complain(error);
    await stopper.stop(1);
  }
}

function stopOnSignals({ stop, isStopping }: Stopper): void {
  // Where all processes are sent it, a worker has it from its supervisor once more.
  process.on('SIGTERM', () => (cluster.isWorker && isStopping() ? undefined : stop()));
  // A terminal's Ctrl-C reaches all processes; workers are stopped by their supervisor, or when it is gone.
  process.on('SIGINT', () => (cluster.isWorker ? undefined : stop()));
  whenOrphaned(() => stop());
}

/** Connects, however long the database takes to come up; /readyz says 503 meanwhile. */
async function connect(service: Service, url: string, isStopping: () => boolean): ReturnType<Service['connect']> {
  let lastCause: string | undefined;
  let unlogged = 0;
  for (let attempt = 1; ; attempt++) {
    try {
      return await service.connect(url);
    } catch (error) {
      const refusal = databaseRefusal(error);
      if (refusal) throw refusal;
      const passes = isConnectionLost(error) || error instanceof CommitUnknown || error instanceof WritesStopped;
      if (!passes || isStopping()) throw error;
      const cause = codeOf(error);
      if (cause !== lastCause || ++unlogged >= Math.min(attempt / 2, maxRetriesUnlogged)) {
        service.app.log.warn({ err: error, attempt }, 'the database does not answer yet');
        unlogged = 0;
      }
      lastCause = cause;
      await sleep(retryEveryMs);
    }
  }
}
