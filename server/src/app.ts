import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { endpoints } from '@kohort/contract';
import type { FastifyInstance } from 'fastify';
import type { Registry } from 'prom-client';
import type { Config } from './config.ts';
import { accountRoutes } from './features/accounts/accounts.routes.ts';
import { eraseAccount } from './features/accounts/accounts.ts';
import { attributeRoutes } from './features/attributes/attributes.routes.ts';
import { attributesContext } from './features/attributes/attributes.ts';
import { authRoutes } from './features/auth/auth.routes.ts';
import { authContext, ensureAdmin, forgetKey, forgetUser, sweepAuth } from './features/auth/auth.ts';
import { consoleRoutes } from './features/console/console.routes.ts';
import { exportRoutes } from './features/exports/exports.routes.ts';
import { exportContext } from './features/exports/exports.ts';
import { refuseErasureOfFenced } from './features/fences/fences.ts';
import { historyRoutes } from './features/history/history.routes.ts';
import { createIdempotency, sweepIdempotency } from './features/idempotency/idempotency.ts';
import { importRoutes } from './features/imports/imports.routes.ts';
import { importKinds, importsContext, keepSwept } from './features/imports/imports.ts';
import { jobRoutes } from './features/jobs/jobs.routes.ts';
import { endFollowing, followingContext, sweepJobs } from './features/jobs/jobs.ts';
import { keyRoutes } from './features/keys/keys.routes.ts';
import { layerRoutes } from './features/layers/layers.routes.ts';
import { fastCallsOf } from './features/memberships/fast-calls.ts';
import { memberRoutes } from './features/memberships/members.routes.ts';
import { membershipRoutes } from './features/memberships/memberships.routes.ts';
import { coalesceStateOfUser } from './features/memberships/read/explain.ts';
import { coalesceResolve } from './features/memberships/read/resolve.ts';
import { coalesceSegmentsOfUser, segmentsContext } from './features/memberships/read/segments-of-user.ts';
import { sweepExpired } from './features/memberships/write/expiry.ts';
import { createLedger, removeOverridesOfErased } from './features/memberships/write/ledger.ts';
import { purgeSegment } from './features/memberships/write/purge.ts';
import { answerCrossOrigin } from './features/ofrep/cors.ts';
import { createStreamLinks } from './features/ofrep/links.ts';
import { ofrepRoutes } from './features/ofrep/ofrep.routes.ts';
import { FlagStreams } from './features/ofrep/streams.ts';
import { type Questions, questionKind } from './features/questions/questions.ts';

import { reportRoutes } from './features/reports/reports.routes.ts';
import { reportContext } from './features/reports/reports.ts';
import { createDefinitionCache } from './features/segments/definitions.ts';
import { createPastDefinitions } from './features/segments/past-definitions.ts';
import { segmentRoutes } from './features/segments/segments.routes.ts';
import { refuseUnseen } from './features/segments/segments.ts';
import { measureSizes } from './features/sizes/measure.ts';
import { sizeRoutes } from './features/sizes/sizes.routes.ts';
import { userRoutes } from './features/users/users.routes.ts';
import type { OnErase } from './features/users/users.ts';
import type { Tracker } from './http/connections/tracker.ts';
import { answerConsole } from './http/console.ts';
import { answerDocs } from './http/docs.ts';
import { answerHealth } from './http/health.ts';
import { createMetrics, measureRequests } from './http/metrics.ts';
import { answerUnknown } from './http/not-found.ts';
import { openApiOf } from './http/openapi.ts';
import { createRouter } from './http/route.ts';
import { createWebServer, type ServerLimits } from './http/server.ts';
import { enqueue } from './jobs/queue.ts';
import { type JobKind, Worker } from './jobs/worker.ts';
import { createCursors } from './paging/cursors.ts';
import { Database } from './postgres/database.ts';
import { problemOfDatabase } from './postgres/errors.ts';
import { measureDatabase } from './postgres/metrics.ts';
import { migrate } from './postgres/migrate.ts';
import { rebuildBloatedIndexes } from './postgres/rebuild.ts';
import { version } from './version.ts';

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
  /** Where the console was built into. */
  readonly consoleFolder?: string;
}

const SCHEMA = join(import.meta.dirname, '../../schema');
const CONSOLE = join(import.meta.dirname, '../../web/dist');
const MAX_CONNECTIONS = 16;
/** Milliseconds a statement may take; set questions over all users set their own. */
const STATEMENT_TIMEOUT = 10_000;
const OPERATIONS = ['/', '/healthz', '/readyz', '/metrics', '/openapi.json', '/docs'].map(
  (path) => ({ method: 'GET', path }) as const,
);

/** Puts the service together: this is its table of contents. Nothing is connected yet. */
export async function createService(
  config: Config & { readonly jwtSecret: string },
  { renderMetrics = (registry) => () => registry.metrics(), limits = {}, consoleFolder = CONSOLE }: ServiceOptions = {},
): Promise<Service> {
  const web = createWebServer({
    logLevel: config.logLevel,
    trustProxy: config.trustProxy,
    publicUrl: config.publicUrl,
    limits,
    translate: problemOfDatabase,
  });
  const { app, fastPath } = web;
  const onError = (error: unknown, what: string) => app.log.error({ err: error }, what);
  let draining = false;
  let serving = false;
  let adminPassword: string | undefined;
  let databaseUrl = '';

  // The database, and what keeps watch over it.
  const db = new Database({ maxConnections: MAX_CONNECTIONS, statementTimeout: STATEMENT_TIMEOUT, onError });
  const metrics = createMetrics();
  const observerOf = measureRequests(web, metrics, renderMetrics(metrics));
  const { watch, follow } = measureDatabase(db, metrics);

  // Who calls.
  const cursors = createCursors(config.jwtSecret);
  const auth = authContext({ ...config, db });
  const authenticate = (token: string) => auth.callers.authenticate(token);
  const known = (token: string) => auth.callers.known(token);
  const { once, onceUploaded } = createIdempotency(db, config.jwtSecret);

  // What the service is for.
  const definitions = createDefinitionCache(db);
  const onErase: OnErase = async (tx, userId, { actor, isAdmin }) => {
    await refuseErasureOfFenced(tx, userId);
    await removeOverridesOfErased(tx, userId, actor);
    await eraseAccount(tx, userId, isAdmin);
  };
  const reading = { db, definitions, cursors };
  const attributes = attributesContext(db);
  const fastReads = segmentsContext(reading);
  const reads = {
    segmentsOf: coalesceSegmentsOfUser(fastReads, watch('segments')),
    resolve: coalesceResolve(fastReads, watch('resolve')),
    stateOf: coalesceStateOfUser(reading, watch('memberships')),
    past: { db, definitionsAt: createPastDefinitions() },
  };
  const ledger = createLedger(db, definitions, watch('overrides'));
  follow('segments', reads.segmentsOf);
  follow('resolve', reads.resolve);
  follow('memberships', reads.stateOf);
  follow('overrides', ledger.applyOne);
  const streams = new FlagStreams({ db, stateOf: reads.stateOf, onError });
  const following = followingContext(db);
  const questions: Questions = { db, answers: new Map(), onQueued: () => worker.wake() };
  const worker: Worker = new Worker({
    db,
    onError,
    kinds: {
      ...importKinds(reading),
      purge_segment: {
        atOnce: 2,
        async run(job, { signal }) {
          await purgeSegment(db, segmentOf(job.options), signal);
          await enqueue(db, 'rebuild_indexes', {}, 'rebuild_indexes');
        },
      },
      rebuild_indexes: {
        atOnce: 1,
        async run(_, { signal }) {
          await rebuildBloatedIndexes({ url: databaseUrl, table: 'memberships', signal }).catch((error) => {
            // It only gives space back; the next purge tries again.
            if (signal.aborted) throw error;
            onError(error, 'index rebuild failed');
          });
        },
      },
      measure_sizes: { atOnce: 1, run: (_, { signal }) => measureSizes(reading, signal) },
      question: questionKind(questions),
      sweep_expired: alone(() => sweepExpired(db)),
      sweep_auth: alone(() => sweepAuth(db)),
      sweep_idempotency: alone(() => sweepIdempotency(db)),
      sweep_jobs: alone(() => sweepJobs(db, config.jobRetention)),
    },
    schedules: [
      { kind: 'measure_sizes', everySeconds: 3_600 },
      { kind: 'sweep_expired', everySeconds: 60 },
      { kind: 'sweep_auth', everySeconds: 600 },
      { kind: 'sweep_idempotency', everySeconds: 600 },
      { kind: 'sweep_jobs', everySeconds: 600 },
    ],
  });
  const imports = importsContext({ db, definitions, owner: worker.owner, onQueued: () => worker.wake() });

  // The wire.
  const seedIsOpen = config.mode === 'evaluation';
  const router = createRouter(app, {
    authenticate,
    known,
    seedIsOpen,
    host: config.host,
    refuseUnseen: (tags, slug) => refuseUnseen(db, tags, [slug]),
    callers: web.callers,
  });
  for (const call of fastCallsOf({ ...reads, ledger, known, seedIsOpen, observerOf })) fastPath.open(call);
  authRoutes(router, auth);
  consoleRoutes(router, auth, authenticate);
  accountRoutes(router, { db, cursors, forgetUser: (id) => forgetUser(auth, id) });
  keyRoutes(router, { db, cursors, forgetKey: (id) => forgetKey(auth, id) }, once);
  userRoutes(router, { db, cursors, onErase, afterErase: (id) => forgetUser(auth, id) }, once);
  segmentRoutes(router, reading, once);
  layerRoutes(router, reading, once);
  memberRoutes(router, { ...reading, attributes, questions });
  attributeRoutes(router, attributes);
  sizeRoutes(router, reading);
  membershipRoutes(router, reads, ledger, once);
  answerCrossOrigin(app, db);
  ofrepRoutes(router, { db, stateOf: reads.stateOf, links: createStreamLinks(config.jwtSecret), streams });
  historyRoutes(router, { db, cursors });
  reportRoutes(router, reportContext({ db, secret: config.jwtSecret }), once);
  importRoutes(router, imports, onceUploaded);
  exportRoutes(router, exportContext(reading));
  jobRoutes(router, { following, db, once, onQueued: () => worker.wake() });
  answerHealth(app, () => serving && !draining && db.available);
  const { publicUrl } = config;
  const document = openApiOf(endpoints, version);
  const servers = publicUrl && [{ url: publicUrl.origin + publicUrl.pathPrefix }];
  await answerDocs(app, servers ? { ...document, servers } : document);
  await answerConsole(app, consoleFolder, publicUrl?.pathPrefix ?? '');
  answerUnknown(app, [...endpoints, ...OPERATIONS], {
    authenticate,
    credentialFirst: config.mode === 'production',
  });

  let stopWorker = async () => {};

  return {
    app,
    db,
    tracker: web.tracker,
    async connect(url) {
      databaseUrl = url;
      await migrate(url, SCHEMA);
      await db.start(url);
      // Kept, should what follows fail and be tried again: it is drawn once.
      adminPassword ??= await ensureAdmin(db, { mode: config.mode, password: config.adminPassword });
      worker.start();
      const stopSweeping = keepSwept(db, onError);
      stopWorker = async () => {
        stopSweeping();
        await worker.stop();
      };
      serving = true;
      return { adminPassword };
    },
    async stop() {
      draining = true;
      // Load balancers are given time to see that /readyz says 503; calls are taken meanwhile.
      if (serving) await sleep(config.drainDelay * 1000);
      endFollowing(following);
      streams.close();
      await app.close();
      await stopWorker().catch((error) => onError(error, 'the queue did not stop'));
      await db.close();
    },
  };
}

function alone(run: () => Promise<void>): JobKind {
  return { atOnce: 1, run };
}

function segmentOf(options: unknown): number {
  const { segment } = options as { segment?: unknown };
  if (typeof segment === 'number') return segment;
  throw new Error('a purge without its segment');
}
