import type { IncomingMessage, RequestListener } from 'node:http';
import { Readable } from 'node:stream';
import { Problem } from '@kohort/contract';
import fastify, { type FastifyBaseLogger, type FastifyInstance } from 'fastify';
import { clientAddress, trustOf } from './address.ts';
import { boundBodies } from './connections/body-timeout.ts';
import { inPortions } from './connections/broken-requests.ts';
import { KnownCallers } from './connections/callers.ts';
import { drainGracefully } from './connections/drain.ts';
import { boundHeaders } from './connections/late-headers.ts';
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
import { newRequestId } from './request-ids.ts';
import { countWholeAnswers } from './unsent.ts';
import { parseQuery, validateWithTypeBox } from './validation.ts';

export interface WebServer {
  readonly app: FastifyInstance;
  readonly fastPath: FastPath;
  readonly shedding: LoadShedding;
  readonly tracker: Tracker;
  readonly callers: KnownCallers;
}

/** Limits for clients: numbers of calls, and milliseconds. */
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
  /** By default standard output. */
  readonly logTo?: { write(line: string): void };
}

const REQUEST_ID = /^[A-Za-z0-9._:-]{1,64}$/;
const maxBodyBytes = 1024 * 1024;
const maxHeaderBytes = 16 * 1024;
// Longer than every slug and percent-encoded external id; node bounds the headers as a whole.
const maxPathParameterLength = 16 * 1024;

const defaultLimits: ServerLimits = {
  // Bounds memory, and the work to some tenths of a second.
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
  return typeof given === 'string' && REQUEST_ID.test(given) ? given : newRequestId();
}

/** Strips the path of `PUBLIC_URL`, for proxies that do not strip their prefix. */
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

/**
 * A request without a body has no stream that could end (`optimizeEmptyRequests`), which spares the fast path the events of one. What
 * parses bodies by their type waits for an end all the same.
 */
function endEmptyBodies(app: FastifyInstance): void {
  app.addHook('preParsing', ({ headers }, _reply, payload, done) => {
    done(null, payload.readableEnded && headers['content-type'] !== undefined ? Readable.from([]) : payload);
  });
}

/** Options of the node server that Fastify runs on. */
function nodeOptions(limits: ServerLimits) {
  // Node would answer requests without a Host header itself, and would keep only the first of repeated header lines. Joined, they
  // are neither a valid host nor a valid credential, so we can refuse them.
  return {
    // body-timeout.ts limits bodies, because node's limit makes no exception for uploads.
    requestTimeout: 0,
    headersTimeout: limits.headersMs,
    connectionsCheckingInterval: limits.sweepEveryMs,
    keepAliveTimeout: keepAliveMs,
    maxHeaderSize: maxHeaderBytes,
    requireHostHeader: false,
    joinDuplicateHeaders: true,
    optimizeEmptyRequests: true,
  };
}

/** Creates the Fastify instance with timeouts, body limits, JSON, validation and one format for errors. */
export function createWebServer(settings: ServerSettings): WebServer {
  const limits = { ...defaultLimits, ...settings.limits };
  const tracker = new Tracker();
  const callers = new KnownCallers();
  const isTrusted = trustOf(settings.trustProxy);
  const addressOf = clientAddress(isTrusted);
  const shedding = new LoadShedding({ limits, tracker, callers, addressOf, requestIdOf });
  const options = nodeOptions(limits);
  const partyOf = (request: IncomingMessage) => callers.payerOf(request, addressOf).party;
  const fastPath = createFastPath(options, { requestIdOf, partyOf }, (handler) =>
    withoutPrefix(settings.publicUrl?.pathPrefix ?? '', shedding.guard(handler)),
  );
  const log = createLog({ level: settings.logLevel, logTo: settings.logTo });
  const quiet = frameworkLog(log);
  const app = fastify({
    serverFactory: fastPath.serverFactory,
    loggerInstance: log as FastifyBaseLogger,
    // Only faults are logged: paths contain external ids, which do not belong in logs.
    logController: new FaultsOnly(),
    childLoggerFactory: () => quiet,
    genReqId: (request: IncomingMessage) => requestIdOf(request),
    trustProxy: settings.trustProxy.length > 0 ? [...settings.trustProxy] : false,
    bodyLimit: maxBodyBytes,
    // It would bound the end of calls under way too, as part of a hook. Whoever stops the service bounds that.
    pluginTimeout: 0,
    // Requests on open connections are still answered normally while the service stops.
    return503OnClosing: false,
    routerOptions: { maxParamLength: maxPathParameterLength, querystringParser: parseQuery, caseSensitive: true },
    clientErrorHandler: boundHeaders(
      tracker,
      limits.headersMs,
      inPortions((error, socket) => {
        // It is not read while calls wait on it. Ended but not destroyed, it would keep them: its client's leaving would go unnoticed.
        if (tracker.connections.get(socket)?.waiting?.length) socket.destroy();
        else answerBrokenRequest(error, socket);
      }),
    ),
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
  // Unknown expectations may be ignored (RFC 9110, 10.1.1); node would refuse them itself.
  app.server.on('checkExpectation', (request, response) => app.server.emit('request', request, response));
  app.server.on('connect', (_request, socket) => answerConnect(socket));
  boundBodies(app, tracker, limits);
  // Synchronous hooks take a callback, because a promise in each adds up over every call.
  app.addHook('onRequest', (request, reply, done) => {
    reply.header('x-request-id', request.id);
    done(headRefusal(request.raw) ?? fastPath.failureOf(request.raw)?.error);
  });
  endEmptyBodies(app);
  tracker.follow(app.server);
  tracker.sweepEvery(limits.sweepEveryMs);
  app.addHook('onClose', async () => tracker.stop());
  boundSlowReaders(tracker, limits.unreadMs);
  drainGracefully(app, tracker);
  acceptJson(app);
  countWholeAnswers(app);
  validateWithTypeBox(app);
  answerProblems(app, settings);
  return { app, fastPath, shedding, tracker, callers };
}
