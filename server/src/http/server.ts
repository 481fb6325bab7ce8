import { randomUUID } from 'node:crypto';
import type { IncomingMessage, RequestListener } from 'node:http';
import { Problem } from '@kohort/contract';
import fastify, { type FastifyBaseLogger, type FastifyInstance } from 'fastify';
import { clientAddress, trustOf } from './address.ts';
import { boundBodies } from './connections/body-timeout.ts';
import { KnownCallers } from './connections/callers.ts';
import { drainGracefully } from './connections/drain.ts';
import { type CallLimits, LoadShedding } from './connections/load-shedding.ts';
import { boundSlowReaders } from './connections/slow-readers.ts';
import { Tracker } from './connections/tracker.ts';
import { createFastPath, type FastPath } from './fast-path.ts';
import { headRefusal, type PublicUrl } from './host.ts';
import { acceptJson } from './json.ts';
import { createLog, FaultsOnly, frameworkLog } from './log.ts';
import {
  answerBrokenRequest,
  answerConnect,
  answerProblems,
  type ProblemSettings,
  sendProblem,
  toProblem,
} from './problems.ts';
import { parseQuery, validateWithTypeBox } from './validation.ts';

export interface WebServer {
  readonly app: FastifyInstance;
  readonly fastPath: FastPath;
  readonly shedding: LoadShedding;
  readonly tracker: Tracker;
  readonly callers: KnownCallers;
}

/** What clients may take: counts of calls, and milliseconds. */
export interface ServerLimits extends CallLimits {
  readonly headersMs: number;
  readonly bodyMs: number;
  readonly restMs: number;
  readonly unreadMs: number;
  readonly sweepEveryMs: number;
}

export interface ServerSettings extends ProblemSettings {
  readonly logLevel: string;
  readonly trustProxy: readonly string[];
  readonly publicUrl?: PublicUrl | undefined;
  readonly limits?: Partial<ServerLimits>;
  /** Otherwise standard output. */
  readonly logTo?: { write(line: string): void };
}

const REQUEST_ID = /^[A-Za-z0-9._:-]{1,64}$/;
const maxBodyBytes = 1024 * 1024;
const maxHeaderBytes = 16 * 1024;
// Above every slug and percent-encoded external id; node bounds all headers together.
const maxPathParameterLength = 16 * 1024;

const defaultLimits: ServerLimits = {
  // Some tenths of a second of work, and bounded memory.
  atOnce: 4_000,
  forAdmins: 200,
  factor: 7,
  perConnection: 32,
  waiting: 16_000,
  headersMs: 10_000,
  bodyMs: 30_000,
  restMs: 5_000,
  unreadMs: 30_000,
  sweepEveryMs: 1_000,
};

const keepAliveMs = 72_000;

function requestIdOf({ headers }: IncomingMessage): string {
  const given = headers['x-request-id'];
  return typeof given === 'string' && REQUEST_ID.test(given) ? given : randomUUID();
}

/** Everything works below the path of `PUBLIC_URL`, too: for proxies that do not take their prefix away. */
function withoutPrefix(pathPrefix: string, handler: RequestListener): RequestListener {
  if (pathPrefix === '') return handler;
  return (request, response) => {
    const { url = '' } = request;
    if (url.startsWith(pathPrefix) && /^(?:[/?]|$)/.test(url.slice(pathPrefix.length))) {
      const rest = url.slice(pathPrefix.length);
      request.url = rest.startsWith('/') ? rest : `/${rest}`;
    }
    handler(request, response);
  };
}

/** A Fastify with this service's manners: timeouts, body limits, JSON, validation and the one form of errors. */
export function createWebServer(settings: ServerSettings): WebServer {
  const limits = { ...defaultLimits, ...settings.limits };
  const tracker = new Tracker();
  const callers = new KnownCallers();
  const isTrusted = trustOf(settings.trustProxy);
  const addressOf = clientAddress(isTrusted);
  const shedding = new LoadShedding({ limits, tracker, callers, addressOf, requestIdOf });
  // Without a Host header node would answer in its own words. Of repeated lines it would keep the first and drop the rest;
  // joined, they are no host and no credential.
  const options = {
    // Bodies are timed by us, since node's bound knows no uploads.
    requestTimeout: 0,
    headersTimeout: limits.headersMs,
    connectionsCheckingInterval: limits.sweepEveryMs,
    keepAliveTimeout: keepAliveMs,
    maxHeaderSize: maxHeaderBytes,
    requireHostHeader: false,
    joinDuplicateHeaders: true,
  };
  const fastPath = createFastPath(options, requestIdOf, (handler) =>
    withoutPrefix(settings.publicUrl?.pathPrefix ?? '', shedding.guard(handler)),
  );
  const log = createLog({ level: settings.logLevel, logTo: settings.logTo });
  const quiet = frameworkLog(log);
  const app = fastify({
    serverFactory: fastPath.serverFactory,
    loggerInstance: log as FastifyBaseLogger,
    // One line for a fault, none for the rest: paths hold external ids, which are not ours to keep in logs.
    logController: new FaultsOnly(),
    childLoggerFactory: () => quiet,
    genReqId: (request: IncomingMessage) => requestIdOf(request),
    trustProxy: settings.trustProxy.length > 0 ? [...settings.trustProxy] : false,
    bodyLimit: maxBodyBytes,
    // What still comes in on an open connection while we stop is answered, by the same rules as ever.
    return503OnClosing: false,
    routerOptions: { maxParamLength: maxPathParameterLength, querystringParser: parseQuery, caseSensitive: true },
    clientErrorHandler: answerBrokenRequest,
    frameworkErrors: (_error, request, reply) => {
      const unreadable = new Problem('malformed', 'The path is not valid percent-encoded UTF-8.');
      request.server
        .refuseStrangers(request)
        .then(() => unreadable)
        .catch((error) => toProblem(error, settings))
        .then((problem) => sendProblem(problem, request, reply));
    },
  });
  app.decorate('publicUrl', settings.publicUrl);
  app.decorate('isTrusted', isTrusted);
  // Unknown expectations may be ignored (RFC 9110, 10.1.1); node would refuse them in its own words.
  app.server.on('checkExpectation', (request, response) => app.server.emit('request', request, response));
  app.server.on('connect', (_request, socket) => answerConnect(socket));
  boundBodies(app, tracker, limits);
  // Hooks that have nothing to wait for take a callback: a promise apiece adds up on the way of every call.
  app.addHook('onRequest', (request, reply, done) => {
    reply.header('x-request-id', request.id);
    done(headRefusal(request.raw) ?? fastPath.failureOf(request.raw)?.error);
  });
  tracker.follow(app.server);
  tracker.sweepEvery(limits.sweepEveryMs);
  app.addHook('onClose', async () => tracker.stop());
  boundSlowReaders(tracker, limits.unreadMs);
  drainGracefully(app, tracker);
  acceptJson(app);
  validateWithTypeBox(app);
  answerProblems(app, settings);
  return { app, fastPath, shedding, tracker, callers };
}
