import { randomUUID } from 'node:crypto';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { isOfrep, ofrepErrorBody, Problem, type ProblemCode, problemBody } from '@kohort/contract';
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { logFault } from './log.ts';

/** Our messages for Fastify's own refusals. */
const FASTIFY: Readonly<Record<string, readonly [ProblemCode, string]>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: ['too_large', 'The body is larger than 1 MiB, or than 16 KiB under /auth.'],
  FST_ERR_CTP_INVALID_MEDIA_TYPE: ['media_type', 'Send application/json.'],
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: ['malformed', 'The body is not as long as Content-Length says.'],
  FST_ERR_CTP_EMPTY_JSON_BODY: ['malformed', 'The body is empty.'],
  FST_ERR_BAD_URL: ['malformed', 'The path is not valid percent-encoded UTF-8.'],
  FST_ERR_MAX_URL_LENGTH: ['malformed', 'The path is too long.'],
};

export interface ProblemSettings {
  /** Turns an error of another layer (the database) into a problem, or returns undefined. */
  readonly translate: (error: unknown) => Problem | undefined;
}

/** Turns any thrown error into the problem that is answered. */
export function toProblem(error: FastifyError | Error, { translate }: ProblemSettings): Problem {
  if (error instanceof Problem) return error;
  const known = 'code' in error && typeof error.code === 'string' ? FASTIFY[error.code] : undefined;
  if (known) return new Problem(known[0], known[1], { cause: error });
  if (
    'statusCode' in error &&
    typeof error.statusCode === 'number' &&
    error.statusCode >= 400 &&
    error.statusCode < 500
  ) {
    return new Problem(error.statusCode === 413 ? 'too_large' : 'malformed', 'The request cannot be read.', {
      cause: error,
    });
  }
  const translated = translate(error);
  if (translated) return translated;
  return new Problem('internal', 'Something went wrong on our side. Our log has details under the request id.', {
    cause: error,
  });
}

/** The problem in the format of the call: OFREP has its own. */
export function problemAnswer(problem: Problem, target: string, requestId: string): { type: string; body: string } {
  return isOfrep(target)
    ? { type: 'application/json; charset=utf-8', body: JSON.stringify(ofrepErrorBody(problem, target)) }
    : { type: 'application/problem+json; charset=utf-8', body: JSON.stringify(problemBody(problem, requestId)) };
}

export function sendProblem(problem: Problem, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  // A deliberate 503 (not ready, overloaded) is an answer, not a fault.
  if (problem.code === 'internal' || (problem.status >= 500 && problem.cause !== undefined)) {
    logFault(request, 'call failed', problem.cause, problem.code);
  }
  // Fastify would close a connection whose body it cannot read. We keep it: body-timeout.ts reads and drops the rest. The header
  // stays when the service is stopping.
  if (!reply.raw.hasHeader('connection')) reply.removeHeader('connection');
  // When the path cannot be decoded, no hook has run that sets the id.
  const { type, body } = problemAnswer(problem, request.raw.url ?? '', request.id);
  return reply
    .code(problem.status)
    .headers({ ...problem.headers, 'x-request-id': request.id })
    .header('content-type', type)
    .serializer((text: string) => text)
    .send(body);
}

export function answerProblems(app: FastifyInstance, settings: ProblemSettings): void {
  app.setErrorHandler<FastifyError>((error, request, reply) => sendProblem(toProblem(error, settings), request, reply));
}

const lateCode = 'ERR_HTTP_REQUEST_TIMEOUT';

/** As node reports a request whose headers have not arrived in time. */
export function lateRequest(): Error {
  return Object.assign(new Error('too slow'), { code: lateCode });
}

export function isLate(error: Error): boolean {
  return 'code' in error && error.code === lateCode;
}

// Made once: the stack of an error takes long for thousands at a time.
const tooLate = new Problem('request_timeout', 'The request did not arrive in time.');
const tooLarge = new Problem('header_too_large', 'The headers are larger than 16 KiB.');
const notHttp = new Problem('malformed', 'The request is not valid HTTP/1.1.');

/** A request that cannot be parsed has no request object, so the same kind of answer is written by hand. */
export function answerBrokenRequest(error: Error, socket: Socket): void {
  if (!socket.writable || ('code' in error && error.code === 'ECONNRESET')) {
    socket.destroy();
    return;
  }
  const code = 'code' in error ? error.code : undefined;
  const problem = code === lateCode ? tooLate : code === 'HPE_HEADER_OVERFLOW' ? tooLarge : notHttp;
  writeProblem(problem, socket);
}

/** This is not a proxy. After CONNECT the connection no longer carries HTTP, so it is closed. */
export function answerConnect(socket: Duplex): void {
  socket.on('error', () => undefined);
  writeProblem(
    new Problem('method_not_allowed', 'CONNECT is not supported: this is not a proxy.', {
      headers: { Allow: 'GET, HEAD, POST, PUT, PATCH, DELETE' },
    }),
    socket,
  );
  socket.once('finish', () => socket.destroy());
}

function writeProblem(problem: Problem, socket: Duplex): void {
  const id = randomUUID();
  const body = JSON.stringify(problemBody(problem, id));
  const headers = Object.entries({
    ...problem.headers,
    'Content-Type': 'application/problem+json; charset=utf-8',
    'Content-Length': Buffer.byteLength(body),
    'X-Request-Id': id,
    Connection: 'close',
  }).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.end(`HTTP/1.1 ${problem.status} ${problem.code}\r\n${headers.join('')}\r\n${body}`);
}
