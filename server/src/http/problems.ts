import { randomUUID } from 'node:crypto';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { isOfrep, ofrepErrorBody, Problem, type ProblemCode, problemBody } from '@kohort/contract';
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { logFault } from './log.ts';

/** Fastify's own refusals, in our words. */
const FASTIFY: Readonly<Record<string, readonly [ProblemCode, string]>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: ['too_large', 'The body is larger than 1 MiB, or than 16 KiB under /auth.'],
  FST_ERR_CTP_INVALID_MEDIA_TYPE: ['media_type', 'Send application/json.'],
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: ['malformed', 'The body is not as long as Content-Length says.'],
  FST_ERR_CTP_EMPTY_JSON_BODY: ['malformed', 'The body is empty.'],
  FST_ERR_BAD_URL: ['malformed', 'The path is not valid percent-encoded UTF-8.'],
  FST_ERR_MAX_URL_LENGTH: ['malformed', 'The path is too long.'],
};

export interface ProblemSettings {
  /** Turns an error of another room (the database's) into a problem, or leaves it. */
  readonly translate: (error: unknown) => Problem | undefined;
}

/** Whatever was thrown, as what is answered. */
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
  return new Problem('internal', 'Something went wrong on our side. The request id finds it in our log.', {
    cause: error,
  });
}

/** A problem as the call with this target answers it: OFREP has a form of its own. */
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
  // Fastify would end a connection whose body it cannot read; the rest of that is read and dropped (patience.ts). What the
  // response itself says, that the service stops, stands.
  if (!reply.raw.hasHeader('connection')) reply.removeHeader('connection');
  // Where the path cannot even be read, no hook has run that would have set the id.
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

/** A request that cannot even be parsed has no request object yet; it gets the same kind of answer, written by hand. */
export function answerBrokenRequest(error: Error, socket: Socket): void {
  if (!socket.writable || ('code' in error && error.code === 'ECONNRESET')) {
    socket.destroy();
    return;
  }
  const code = 'code' in error ? error.code : undefined;
  const problem =
    code === 'ERR_HTTP_REQUEST_TIMEOUT'
      ? new Problem('request_timeout', 'The request did not arrive in time.')
      : code === 'HPE_HEADER_OVERFLOW'
        ? new Problem('header_too_large', 'The headers are larger than 16 KiB.')
        : new Problem('malformed', 'The request is not valid HTTP/1.1.');
  writeProblem(problem, socket);
}

/** We are no proxy. What follows on such a connection is no HTTP any more, so it ends here. */
export function answerConnect(socket: Duplex): void {
  socket.on('error', () => undefined);
  writeProblem(
    new Problem('method_not_allowed', 'CONNECT is not taken: this is no proxy.', {
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
