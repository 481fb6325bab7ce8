import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';
import type { Registry } from 'prom-client';
import type { Config } from './config.ts';
import { ensureAdmin } from './features/auth/auth.ts';
import { keepSwept } from './features/imports/imports.ts';
import { endFollowing } from './features/jobs/jobs.ts';
import type { SenderLimits } from './features/webhooks/webhooks.ts';
import { type AttachedReplica, composeFeatures } from './features.ts';
import type { Tracker } from './http/connections/tracker.ts';
import { createMetrics, measureRequests } from './http/metrics.ts';
import { createWebServer, type ServerLimits } from './http/server.ts';
import { Database } from './postgres/database.ts';
import { problemOfDatabase } from './postgres/errors.ts';
import { measureReplica } from './postgres/metrics.ts';
import { migrate } from './postgres/migrate.ts';
import { Replica } from './postgres/replica.ts';
import { registerRoutes } from './routes.ts';

export interface Service {
  readonly app: FastifyInstance;
  readonly db: Database;
  readonly tracker: Tracker;
  /** Migrates, makes the first admin, begins to serve; answers the admin's password when one was drawn. */
  connect(url: string): Promise<{ adminPassword: string | undefined }>;
  /** Stops accepting, finishes what is in flight, lets go of the database. */
  stop(): Promise<void>;
}

export interface ServiceOptions {
  /** Where several processes serve as one, their metrics are reported as one. */
  readonly renderMetrics?: ((registry: Registry) => () => Promise<string>) | undefined;
  readonly limits?: Partial<ServerLimits>;
  /** Of the sender of webhooks. */
  readonly sender?: SenderLimits;
  /** Where the console was built into. */
  readonly consoleFolder?: string;
}

const schemaFolder = join(import.meta.dirname, '../../schema');
const builtConsole = join(import.meta.dirname, '../../web/dist');
const maxConnections = 16;
/** Milliseconds a statement may take; set questions over all users set their own. */
const statementTimeoutMs = 10_000;
/** Puts the service together. Nothing is connected yet. */
export async function createService(
  config: Config & { readonly jwtSecret: string },
  {
    renderMetrics = (registry) => () => registry.metrics(),
    limits = {},
    sender: senderLimits = {},
    consoleFolder = builtConsole,
  }: ServiceOptions = {},
): Promise<Service> {
  const { logLevel, trustProxy, publicUrl } = config;
  const web = createWebServer({ logLevel, trustProxy, publicUrl, limits, translate: problemOfDatabase });
  const { app } = web;
  const onError = (error: unknown, what: string) => app.log.error({ err: error }, what);
  const db = new Database({ maxConnections, statementTimeout: statementTimeoutMs, onError });
  const metrics = createMetrics();
  const observerOf = measureRequests(web, metrics, renderMetrics(metrics));
  let draining = false;
  let serving = false;
  let adminPassword: string | undefined;
  let directUrl = '';
  const replica = config.readDatabaseUrl === undefined ? undefined : attachReplica(config, db, metrics, onError);
  const features = composeFeatures({
    config,
    db,
    replica,
    metrics,
    directUrl: () => directUrl,
    onError,
    sender: senderLimits,
  });
  const { worker, following, streams, feeds, sender } = features;
  const isReady = () => serving && !draining && db.available;
  await registerRoutes(web, features, { config, observerOf, isReady, consoleFolder });
  let stopWorker = async () => {};

  return {
    app,
    db,
    tracker: web.tracker,
    async connect(url) {
      directUrl = config.directDatabaseUrl ?? url;
      await migrate(directUrl, schemaFolder);
      const isPooled = directUrl !== url;
      await db.start(url, { isPooled });
      if (config.readDatabaseUrl !== undefined) replica?.replica.start(config.readDatabaseUrl, { isPooled });
      // Kept, should what follows fail and be tried again: it is drawn once.
      adminPassword ??= await ensureAdmin(db, { mode: config.mode, password: config.adminPassword });
      worker.start();
      feeds.deriver.start();
      sender.start();
      const stopSweeping = keepSwept(db, onError);
      stopWorker = async () => {
        stopSweeping();
        await Promise.all([worker.stop(), feeds.deriver.stop()]);
      };
      serving = true;
      return { adminPassword };
    },
    async stop() {
      draining = true;
      // Other instances send on from here.
      const sent = sender.stop().catch((error) => onError(error, 'webhook sender did not stop'));
      // Load balancers are given time to see that /readyz says 503; calls are taken meanwhile.
      if (serving) await sleep(config.drainDelay * 1000);
      await sent;
      endFollowing(following);
      streams.close();
      feeds.tail.close();
      await app.close();
      await stopWorker().catch((error) => onError(error, 'job worker did not stop'));
      await replica?.replica.close();
      await db.close();
    },
  };
}

function attachReplica(
  config: Config,
  primary: Database,
  metrics: Registry,
  onError: (error: unknown, what: string) => void,
): AttachedReplica {
  const db = new Database({
    maxConnections,
    statementTimeout: statementTimeoutMs,
    onError: (error, what) => onError(error, `replica: ${what}`),
  });
  let replica: Replica | undefined;
  const observe = measureReplica(() => replica, metrics);
  replica = new Replica({ primary, replica: db, seesAllWrites: config.workers === 1, onError, observe });
  return { db, replica };
}
