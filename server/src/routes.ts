import { endpoints } from '@kohort/contract';
import type { Config } from './config.ts';
import { accountRoutes } from './features/accounts/accounts.routes.ts';
import { attributeRoutes } from './features/attributes/attributes.routes.ts';
import { authRoutes } from './features/auth/auth.routes.ts';
import { forgetKey, forgetUser } from './features/auth/auth.ts';
import { consoleRoutes } from './features/console/console.routes.ts';
import { exportRoutes } from './features/exports/exports.routes.ts';
import { feedRoutes } from './features/feeds/feeds.routes.ts';
import { historyRoutes } from './features/history/history.routes.ts';
import { importRoutes } from './features/imports/imports.routes.ts';
import { jobRoutes } from './features/jobs/jobs.routes.ts';
import { keyRoutes } from './features/keys/keys.routes.ts';
import { layerRoutes } from './features/layers/layers.routes.ts';
import { fastCallsOf } from './features/memberships/fast-calls.ts';
import { memberRoutes } from './features/memberships/members.routes.ts';
import { membershipRoutes } from './features/memberships/memberships.routes.ts';
import { answerCrossOrigin } from './features/ofrep/cors.ts';
import { flagCallOf } from './features/ofrep/fast-call.ts';
import { ofrepRoutes } from './features/ofrep/ofrep.routes.ts';
import { reportRoutes } from './features/reports/reports.routes.ts';
import { segmentRoutes } from './features/segments/segments.routes.ts';
import { refuseUnseen } from './features/segments/segments.ts';
import { sizeRoutes } from './features/sizes/sizes.routes.ts';
import { userRoutes } from './features/users/users.routes.ts';
import { webhookRoutes } from './features/webhooks/webhooks.routes.ts';
import type { Features } from './features.ts';
import { answerConsole } from './http/console.ts';
import { answerDocs } from './http/docs.ts';
import { answerHealth } from './http/health.ts';
import type { measureRequests } from './http/metrics.ts';
import { answerUnknown } from './http/not-found.ts';
import { openApiOf } from './http/openapi.ts';
import { createRouter, type Router } from './http/route.ts';
import type { WebServer } from './http/server.ts';
import { version } from './version.ts';

export interface RoutesOptions {
  readonly config: Config;
  readonly observerOf: ReturnType<typeof measureRequests>;
  readonly isReady: () => boolean;
  readonly consoleFolder: string;
}

const OPERATIONS = ['/', '/healthz', '/readyz', '/metrics', '/openapi.json', '/docs'].map(
  (path) => ({ method: 'GET', path }) as const,
);

/** Registers every call of the service. */
export async function registerRoutes(
  web: WebServer,
  features: Features,
  { config, observerOf, isReady, consoleFolder }: RoutesOptions,
): Promise<void> {
  const { app, fastPath, callers } = web;
  const { db, auth, reads, ledger } = features;
  const { authenticate, known } = credentialsOf(features);
  const seedIsOpen = config.mode === 'evaluation';
  const router = createRouter(app, {
    authenticate,
    known,
    seedIsOpen,
    host: config.host,
    refuseUnseen: (tags, slug) => refuseUnseen(db, tags, [slug]),
    callers,
  });
  const flags = { ...reads, definitions: features.reading.definitions };
  for (const call of fastCallsOf({ ...reads, ledger, known, seedIsOpen, observerOf })) fastPath.open(call);
  fastPath.open(flagCallOf({ flags, known, seedIsOpen, observerOf }));
  authRoutes(router, auth);
  consoleRoutes(router, auth, authenticate);
  apiRoutes(router, features);
  answerHealth(app, isReady);
  const { publicUrl } = config;
  const document = openApiOf(endpoints, version);
  const servers = publicUrl && [{ url: publicUrl.origin + publicUrl.pathPrefix }];
  await answerDocs(app, servers ? { ...document, servers } : document);
  await answerConsole(app, consoleFolder, publicUrl?.pathPrefix ?? '');
  answerUnknown(app, [...endpoints, ...OPERATIONS], {
    authenticate,
    credentialFirst: config.mode === 'production',
  });
}

function credentialsOf({ auth }: Features) {
  return {
    authenticate: (token: string) => auth.callers.authenticate(token),
    known: (token: string) => auth.callers.known(token),
  };
}

function apiRoutes(router: Router, features: Features): void {
  const { db, auth, reading, readSet, reads, ledger, attributes, questions, streams, streamLinks, onErase, onQueued } =
    features;
  const { cursors } = reading;
  const { once, onceUploaded } = features.idempotency;
  accountRoutes(router, { db, cursors, forgetUser: (id) => forgetUser(auth, id) });
  keyRoutes(router, { db, cursors, forgetKey: (id) => forgetKey(auth, id) }, once);
  userRoutes(router, { db, cursors, onErase, afterErase: (id) => forgetUser(auth, id) }, once);
  segmentRoutes(router, reading, once);
  layerRoutes(router, reading, once);
  memberRoutes(router, { ...reading, attributes, questions, readSet });
  attributeRoutes(router, attributes);
  sizeRoutes(router, readSet);
  membershipRoutes(router, reads, ledger, once);
  answerCrossOrigin(router.app, db);
  ofrepRoutes(router, { ...reads, definitions: reading.definitions, db, links: streamLinks, streams });
  feedRoutes(router, { context: features.feeds, followers: features.followers, once });
  webhookRoutes(router, features.webhooks, once);
  historyRoutes(router, { db, cursors });
  reportRoutes(router, features.reports, once);
  importRoutes(router, features.imports, onceUploaded);
  exportRoutes(router, features.exports);
  jobRoutes(router, { following: features.following, db, cursors, once, onQueued });
}
