import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';
import type { Registry } from 'prom-client';
import { type Config, ConfigError } from './config.ts';
import { ensureAdmin } from './features/auth/auth.ts';
import { keepSwept } from './features/imports/imports.ts';
import { endFollowing } from './features/jobs/jobs.ts';
import type { SenderLimits } from './features/webhooks/webhooks.ts';
import { type AttachedReplica, composeFeatures, type Features } from './features.ts';
import type { Tracker } from './http/connections/tracker.ts';
import { createMetrics, measureRequests } from './http/metrics.ts';
import { createWebServer, type ServerLimits } from './http/server.ts';
import type { ConnectionLimits } from './postgres/connections.ts';
import { Database } from './postgres/database.ts';
import { problemOfDatabase, WritesStopped } from './postgres/errors.ts';
import { measureReplica } from './postgres/metrics.ts';
import { migrate } from './postgres/migrate.ts';
import { Replica } from './postgres/replica.ts';
import { registerRoutes } from './routes.ts';

export interface Service {
  readonly app: FastifyInstance;
  readonly db: Database;
  readonly tracker: Tracker;
  /** Migrates, creates the first admin, starts to serve. Returns the admin's password if one was generated. */
  connect(url: string): Promise<{ adminPassword: string | undefined }>;
  /** Stops accepting calls, finishes those in flight, and closes the database. */
  stop(): Promise<void>;
}

export interface ServiceOptions {
  /** If several processes share a port, their metrics are reported together. */
  readonly renderMetrics?: ((registry: Registry) => () => Promise<string>) | undefined;
  readonly limits?: Partial<ServerLimits>;
  /** Limits of the connections to the database. */
  readonly connections?: ConnectionLimits;
  /** Limits of the sender of webhooks. */
  readonly sender?: SenderLimits;
  /** The folder of the built console. */
  readonly consoleFolder?: string;
}

const schemaFolder = join(import.meta.dirname, '../../schema');
const builtConsole = join(import.meta.dirname, '../../web/dist');
const maxConnections = 16;
/** Milliseconds a statement may take; set questions over all users set their own. */
const statementTimeoutMs = 10_000;

type OnError = (error: unknown, what: string) => void;

const reporterOn =
  ({ log }: FastifyInstance): OnError =>
  (error, what) => {
    // Logged once, when writes are stopped.
    if (!(error instanceof WritesStopped)) log.error({ err: error }, what);
  };

function createPrimary({ log }: FastifyInstance, onError: OnError, limits: ConnectionLimits): Database {
  const onWriteStop = (isStopped: boolean) =>
    log.warn(isStopped ? 'writes are stopped: the database is being distributed' : 'writes go on');
  return new Database({ ...limits, maxConnections, statementTimeout: statementTimeoutMs, onError, onWriteStop });
}

/** Starts jobs, feeds, webhooks and sweeping. @returns what stops all but the webhooks, which stop first. */
function startBackground({ worker, feeds, sender }: Features, db: Database, onError: OnError): () => Promise<void> {
  worker.start();
  feeds.deriver.start();
  sender.start();
  const stopSweeping = keepSwept(db, onError);
  return async () => {
    stopSweeping();
    await Promise.all([worker.stop(), feeds.deriver.stop()]);
  };
}

/** Assembles the service. Connects to nothing yet. */
export async function createService(
  config: Config & { readonly jwtSecret: string },
  {
    renderMetrics = (registry) => () => registry.metrics(),
    limits = {},
    connections = {},
    sender: senderLimits = {},
    consoleFolder = builtConsole,
  }: ServiceOptions = {},
): Promise<Service> {
  const { logLevel, trustProxy, publicUrl } = config;
  const web = createWebServer({ logLevel, trustProxy, publicUrl, limits, translate: problemOfDatabase });
  const { app } = web;
  const onError = reporterOn(app);
  const db = createPrimary(app, onError, connections);
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
  const { following, streams, feeds, sender } = features;
  const isReady = () => serving && !draining && db.available;
  await registerRoutes(web, features, { config, observerOf, isReady, consoleFolder });
  let stopBackground = async () => {};

  return {
    app,
    db,
    tracker: web.tracker,
    async connect(url) {
      directUrl = config.directDatabaseUrl ?? url;
      await migrate(directUrl, schemaFolder);
      const isPooled = directUrl !== url;
      await db.start(url, { isPooled });
      if (config.readDatabaseUrl !== undefined && db.isDistributed) throw uselessReplica();
      if (config.readDatabaseUrl !== undefined) replica?.replica.start(config.readDatabaseUrl, { isPooled });
      // Kept in case a later step fails and is retried: it is generated only once.
      adminPassword ??= await ensureAdmin(db, { mode: config.mode, password: config.adminPassword });
      stopBackground = startBackground(features, db, onError);
      serving = true;
      return { adminPassword };
    },
    async stop() {
      draining = true;
      // Other instances continue to send.
      const sent = sender.stop().catch((error) => onError(error, 'webhook sender did not stop'));
      // Gives load balancers time to see the 503 of /readyz; calls are still accepted meanwhile.
      if (serving) await sleep(config.drainDelay * 1000);
      await sent;
      endFollowing(following);
      streams.close();
      feeds.tail.close();
      await app.close();
      await stopBackground().catch((error) => onError(error, 'job worker did not stop'));
      await replica?.replica.close();
      await db.close();
    },
  };
}

/** A replica of the coordinator has none of the rows that workers hold: they would answer in its place. */
function uselessReplica(): ConfigError {
  return new ConfigError(
    'READ_DATABASE_URL is for a database on one server. On Citus the workers answer reads: start without it, and add workers for more of them.',
  );
}

function attachReplica(config: Config, primary: Database, metrics: Registry, onError: OnError): AttachedReplica {
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
