import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { Problem, problemBody } from '@kohort/contract';

/** What tells whether we live and how we are has to be answered above all when we are overloaded. */
const ALWAYS = new Set(['/healthz', '/readyz', '/metrics']);

export interface Gate {
  /** Lets through to `handler`, or refuses. */
  readonly guard: (handler: RequestListener) => RequestListener;
  readonly underWay: () => number;
  readonly refused: () => number;
}

/**
 * Refuses calls while too many are under way, before anything was done for them: a refusal has to cost far less than an
 * answer, or refusing would be all that an overloaded service still does.
 */
export function createGate(atOnce: number, requestIdOf: (request: IncomingMessage) => string): Gate {
  const problem = new Problem('overloaded', 'Too many calls are under way. Try again shortly.', { retryAfter: 1 });
  let underWay = 0;
  let refused = 0;

  function refuse(request: IncomingMessage, response: ServerResponse): void {
    refused++;
    const id = requestIdOf(request);
    const body = JSON.stringify(problemBody(problem, id));
    response.writeHead(problem.status, {
      ...problem.headers,
      'content-type': 'application/problem+json; charset=utf-8',
      'x-request-id': id,
      'content-length': Buffer.byteLength(body),
    });
    response.end(body);
  }

  return {
    guard: (handler) => (request, response) => {
      if (underWay >= atOnce && !ALWAYS.has(request.url ?? '')) return refuse(request, response);
      underWay++;
      response.once('close', () => {
        underWay--;
      });
      handler(request, response);
    },
    underWay: () => underWay,
    refused: () => refused,
  };
}
