import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { Problem } from '@kohort/contract';
import fastify, { type FastifyBaseLogger, type FastifyInstance } from 'fastify';
import { boundArrivals } from './connections/body-timeout.ts';
import { drainGracefully } from './connections/drain.ts';
import { createGate, type Gate } from './connections/load-shedding.ts';
import { boundDepartures } from './connections/slow-readers.ts';
import { createTraffic, type Traffic } from './connections/tracker.ts';
import { createFastPath, type FastPath } from './fast-path.ts';
import { headRefusal } from './host.ts';
import { acceptJson } from './json.ts';
import { FaultsOnly, wordless } from './log.ts';
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
  readonly gate: Gate;
  readonly traffic: Traffic;
}

export interface ServerSettings extends ProblemSettings {
  readonly logLevel: string;
  readonly trustProxy: readonly string[];
  /** Otherwise standard output. */
  readonly logTo?: { write(line: string): void };
}

const REQUEST_ID = /^[A-Za-z0-9._:-]{1,64}$/;
const MAX_BODY = 1024 * 1024;
/** Calls: some tenths of a second of work, and bounded memory. */
const MAX_UNDER_WAY = 4_000;
const MAX_HEADERS = 16 * 1024;
// Above every slug and percent-encoded external id; node bounds the whole of the headers by 16 KiB.
const MAX_PATH_PARAMETER = 16 * 1024;

// Headers have 10 s to arrive; node looks once a second. A body has its time from us, since node's bound knows no uploads.
const BODY_WITHIN = 30_000;
const READ_WITHIN = 30_000;
const TIMEOUTS = {
  requestTimeout: 0,
  headersTimeout: 10_000,
  connectionsCheckingInterval: 1_000,
  keepAliveTimeout: 72_000,
};

function requestIdOf({ headers }: IncomingMessage): string {
  const given = headers['x-request-id'];
  return typeof given === 'string' && REQUEST_ID.test(given) ? given : randomUUID();
}

/** A Fastify with this service's manners: timeouts, body limits, JSON, validation and the one form of errors. */
export function createWebServer(settings: ServerSettings): WebServer {
  // Node would refuse a request without Host in its own words; we do it in ours.
  const traffic = createTraffic();
  const gate = createGate(MAX_UNDER_WAY, traffic, requestIdOf);
  // Of repeated lines node would keep the first and drop the rest; joined, they are no host and no credential.
  const options = { ...TIMEOUTS, maxHeaderSize: MAX_HEADERS, requireHostHeader: false, joinDuplicateHeaders: true };
  const fastPath = createFastPath(options, requestIdOf, gate.guard);
  let quiet: FastifyBaseLogger | undefined;
  const app = fastify({
    serverFactory: fastPath.serverFactory,
    logger: {
      level: settings.logLevel,
      base: null,
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      ...(settings.logTo && { stream: settings.logTo }),
    },
    // One line for a fault, none for the rest: paths hold external ids, which are not ours to keep in logs.
    logController: new FaultsOnly(),
    // One for all requests, and for the framework alone: what we log of a request names it itself.
    childLoggerFactory: (logger) => {
      quiet ??= wordless(logger);
      return quiet;
    },
    genReqId: (request: IncomingMessage) => requestIdOf(request),
    trustProxy: settings.trustProxy.length > 0 ? [...settings.trustProxy] : false,
    bodyLimit: MAX_BODY,
    // What still comes in on an open connection while we stop is answered, by the same rules as ever.
    return503OnClosing: false,
    routerOptions: { maxParamLength: MAX_PATH_PARAMETER, querystringParser: parseQuery, caseSensitive: true },
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
  // Unknown expectations may be ignored (RFC 9110, 10.1.1); node would refuse them in its own words.
  app.server.on('checkExpectation', (request, response) => app.server.emit('request', request, response));
  app.server.on('connect', (_request, socket) => answerConnect(socket));
  boundArrivals(app, BODY_WITHIN);
  // Hooks that have nothing to wait for take a callback: a promise apiece adds up on the way of every call.
  app.addHook('onRequest', (request, reply, done) => {
    reply.header('x-request-id', request.id);
    done(headRefusal(request.raw) ?? fastPath.failureOf(request.raw)?.error);
  });
  traffic.follow(app.server);
  drainGracefully(app, traffic);
  boundDepartures(app, READ_WITHIN);
  acceptJson(app);
  validateWithTypeBox(app);
  answerProblems(app, settings);
  return { app, fastPath, gate, traffic };
}
