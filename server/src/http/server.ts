import { randomUUID } from 'node:crypto';
import { Problem } from '@kohort/contract';
import fastify, { type FastifyInstance, LogController } from 'fastify';
import { acceptJson } from './json.ts';
import { answerBrokenRequest, answerProblems, type ProblemSettings, sendProblem } from './problems.ts';
import { parseQuery, validateWithTypeBox } from './validation.ts';

export interface ServerSettings extends ProblemSettings {
  readonly logLevel: string;
  readonly trustProxy: readonly string[];
}

const REQUEST_ID = /^[A-Za-z0-9._:-]{1,64}$/;
const MAX_BODY = 1024 * 1024;
// Above every slug and percent-encoded external id; node bounds the whole of the headers by 16 KiB.
const MAX_PATH_PARAMETER = 16 * 1024;

/** A Fastify with this service's manners: timeouts, body limits, JSON, validation and the one form of errors. */
export function createServer(settings: ServerSettings): FastifyInstance {
  const app = fastify({
    logger: { level: settings.logLevel, base: null, timestamp: () => `,"time":"${new Date().toISOString()}"` },
    // One line for a fault, none for the rest: paths hold external ids, which are not ours to keep in logs.
    logController: new LogController({ disableRequestLogging: true }),
    genReqId: ({ headers }) => {
      const given = headers['x-request-id'];
      return typeof given === 'string' && REQUEST_ID.test(given) ? given : randomUUID();
    },
    trustProxy: settings.trustProxy.length > 0 ? [...settings.trustProxy] : false,
    bodyLimit: MAX_BODY,
    // A request has 30 s to arrive, its headers 10 s; node looks once a second.
    requestTimeout: 30_000,
    http: { headersTimeout: 10_000, connectionsCheckingInterval: 1_000, maxHeaderSize: 16 * 1024 },
    keepAliveTimeout: 72_000,
    routerOptions: { maxParamLength: MAX_PATH_PARAMETER, querystringParser: parseQuery, caseSensitive: true },
    clientErrorHandler: answerBrokenRequest,
    frameworkErrors: (_error, request, reply) => {
      sendProblem(new Problem('malformed', 'The path is not valid percent-encoded UTF-8.'), request, reply);
    },
  });
  app.addHook('onRequest', async (request, reply) => {
    reply.header('x-request-id', request.id);
  });
  acceptJson(app);
  validateWithTypeBox(app);
  answerProblems(app, settings);
  return app;
}
