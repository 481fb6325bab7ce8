import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { Problem, problemBody } from '@kohort/contract';
import type { Traffic } from './tracker.ts';

/** What tells whether we live and how we are has to be answered above all when we are overloaded. */
const ALWAYS = new Set(['/healthz', '/readyz', '/metrics']);

export interface Gate {
  /** Lets through to `handler`, or refuses. */
  readonly guard: (handler: RequestListener) => RequestListener;
  readonly refused: () => number;
}

/**
 * Refuses calls while too many are under way, before anything was done for them: a refusal has to cost far less than an
 * answer, or refusing would be all that an overloaded service still does.
 */
export function createGate(atOnce: number, traffic: Traffic, requestIdOf: (request: IncomingMessage) => string): Gate {
  const problem = new Problem('overloaded', 'Too many calls are under way. Try again shortly.', { retryAfter: 1 });
  const headers = Object.entries(problem.headers).flat();
  let refused = 0;

  function refuse(request: IncomingMessage, response: ServerResponse): void {
    refused++;
    const id = requestIdOf(request);
    const body = JSON.stringify(problemBody(problem, id));
    response.writeHead(problem.status, [
      ...headers,
      'content-type',
      'application/problem+json; charset=utf-8',
      'x-request-id',
      id,
      'content-length',
      String(body.length),
    ]);
    response.end(body, 'latin1');
  }

  return {
    guard: (handler) => (request, response) => {
      if (traffic.underWay() >= atOnce && !ALWAYS.has(request.url ?? '')) return refuse(request, response);
      traffic.begin(request, response);
      handler(request, response);
    },
    refused: () => refused,
  };
}
