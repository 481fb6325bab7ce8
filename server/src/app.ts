import { join } from 'node:path';
import { endpoints, Problem } from '@kohort/contract';
import type { FastifyInstance } from 'fastify';
import { Histogram } from 'prom-client';
import type { Config } from './config.ts';
import { accountRoutes } from './features/accounts/accounts.routes.ts';
import { createAccounts, eraseAccount } from './features/accounts/accounts.ts';
import { authRoutes } from './features/auth/auth.routes.ts';
import { createAuth, sweepAuth } from './features/auth/auth.ts';
import { ensureAdmin } from './features/auth/first-admin.ts';
import { historyRoutes } from './features/history/history.routes.ts';
import { createHistory } from './features/history/history.ts';
import { keyRoutes } from './features/keys/keys.routes.ts';
import { createKeys } from './features/keys/keys.ts';
import { memberRoutes } from './features/members/members.routes.ts';
import { createMembers } from './features/members/members.ts';
import { createAnswers } from './features/memberships/answers.ts';
import { createAsOf } from './features/memberships/as-of.ts';
import { hotCallOf } from './features/memberships/hot-call.ts';
import { membershipRoutes } from './features/memberships/memberships.routes.ts';
import { createOverrides, dropAllOverrides } from './features/memberships/overrides.ts';
import { createMembershipReads } from './features/memberships/reads.ts';
import { purgeSegment, purgeSome, sweepExpired } from './features/memberships/tidy.ts';
import { reportRoutes } from './features/reports/reports.routes.ts';
import { createReports } from './features/reports/reports.ts';
import { createDefinitionCache } from './features/segments/definitions.ts';
import { segmentRoutes } from './features/segments/segments.routes.ts';
import { createSegments } from './features/segments/segments.ts';
import { userRoutes } from './features/users/users.routes.ts';
import { createUsers } from './features/users/users.ts';
import { createCursors } from './http/cursor.ts';
import { answerDocs } from './http/docs.ts';
import { answerHealth } from './http/health.ts';
import { createMetrics, measureRequests } from './http/metrics.ts';
import { openApiOf } from './http/openapi.ts';
import { createRouter } from './http/route.ts';
import { createWebServer } from './http/server.ts';
import { answerUnknown } from './http/unknown.ts';
import { enqueue, migrateQueue, startWorker } from './jobs/worker.ts';
import { Database } from './postgres/database.ts';
import { migrate } from './postgres/migrate.ts';
import { problemOfDatabase } from './postgres/sqlstate.ts';
import { version } from './version.ts';

export interface Service {
  readonly app: FastifyInstance;
  readonly db: Database;
  /** Migrates, makes the first admin, begins to serve; answers the admin's password when one was drawn. */
  connect(url: string): Promise<{ adminPassword: string | undefined }>;
  /** Stops accepting, finishes what is in flight, lets go of the database. */
  stop(): Promise<void>;
}

const SCHEMA = join(import.meta.dirname, '../../schema');
const MAX_CONNECTIONS = 16;
/** Milliseconds a statement may take; set questions over all users set their own. */
const STATEMENT_TIMEOUT = 10_000;
const OPERATIONS = ['/healthz', '/readyz', '/metrics', '/openapi.json', '/docs'].map(
  (path) => ({ method: 'GET', path }) as const,
);

/** Puts the service together: this is its table of contents. Nothing is connected yet. */
export async function createService(config: Config & { readonly jwtSecret: string }): Promise<Service> {
  const { app, lane } = createWebServer({
    logLevel: config.logLevel,
    trustProxy: config.trustProxy,
    translate: problemOfDatabase,
  });
  const onError = (error: unknown, what: string) =>
    app.log.error({ err: error instanceof Error ? error.message : String(error) }, what);
  let draining = false;
  let serving = false;

  // The database, and what keeps watch over it.
  const db = new Database({ maxConnections: MAX_CONNECTIONS, statementTimeout: STATEMENT_TIMEOUT, onError });
  const metrics = createMetrics();
  const observerOf = measureRequests(app, metrics);
  const callersPerStatement = new Histogram({
    name: 'kohort_coalesced_callers',
    help: 'Callers that one statement served.',
    labelNames: ['statement'],
    buckets: [1, 2, 4, 8, 16, 32, 64, 128, 256],
    registers: [metrics],
  });
  const observe = (statement: string) => (callers: number) => callersPerStatement.observe({ statement }, callers);

  // Who calls.
  const cursors = createCursors(config.jwtSecret);
  const auth = createAuth({ ...config, db });
  const accounts = createAccounts({ db, cursors, forgetUser: auth.forgetUser });
  const keys = createKeys({ db, cursors, forgetKey: auth.forgetKey });

  // What the service is for.
  const definitions = createDefinitionCache(db);
  const users = createUsers({
    db,
    cursors,
    onErase: async (tx, userId, { actor, isAdmin }) => {
      await dropAllOverrides(tx, userId, actor);
      await eraseAccount(tx, userId, isAdmin);
    },
  });
  const segments = createSegments({ db, cursors, onDelete: (tx, id) => enqueue(tx, 'purge-segment', { segment: id }) });
  const answers = createAnswers({ db, definitions, observe: observe('segments') });
  const reads = createMembershipReads({ db, definitions, observe: observe('memberships') });
  const overrides = createOverrides({ db, definitions, observe: observe('overrides') });
  const members = createMembers({ db, cursors, definitions });
  const history = createHistory({ db, cursors, users });
  const reports = createReports({ db, users, secret: config.jwtSecret });

  // The wire.
  const seedIsOpen = config.mode === 'evaluation';
  const router = createRouter(app, { authenticate: auth.authenticate, seedIsOpen });
  lane.open(hotCallOf({ answers, known: auth.known, seedIsOpen, observerOf }));
  authRoutes(router, auth);
  accountRoutes(router, accounts);
  keyRoutes(router, keys);
  userRoutes(router, users, auth.forgetUser);
  segmentRoutes(router, segments, (id) => purgeSome(db, id));
  memberRoutes(router, members, db);
  membershipRoutes(router, answers, reads, overrides, createAsOf(db));
  historyRoutes(router, history);
  reportRoutes(router, reports);
  answerHealth(app, () => serving && !draining && db.available);
  await answerDocs(app, openApiOf(endpoints, version));
  answerUnknown(app, [...endpoints, ...OPERATIONS], {
    authenticate: auth.authenticate,
    credentialFirst: config.mode === 'production',
  });

  let stopWorker = async () => {};

  return {
    app,
    db,
    async connect(url) {
      await migrate(url, SCHEMA, () => migrateQueue(url));
      await db.start(url);
      const adminPassword = await ensureAdmin(db, { mode: config.mode, password: config.adminPassword });
      const worker = await startWorker({
        url,
        onError,
        tasks: {
          'purge-segment': (payload) => purgeSegment(db, segmentOf(payload)),
          'sweep-expired': () => sweepExpired(db),
          'sweep-auth': () => sweepAuth(db),
        },
        schedules: [
          { task: 'sweep-expired', cron: '* * * * *' },
          { task: 'sweep-auth', cron: '*/10 * * * *' },
        ],
      });
      stopWorker = () => worker.stop();
      serving = true;
      return { adminPassword };
    },
    async stop() {
      draining = true;
      await app.close();
      await stopWorker().catch((error) => onError(error, 'the queue did not stop'));
      await db.close();
    },
  };
}

function segmentOf(payload: unknown): number {
  if (typeof payload === 'object' && payload !== null && 'segment' in payload && typeof payload.segment === 'number') {
    return payload.segment;
  }
  throw new Problem('internal', 'a purge job without a segment');
}
