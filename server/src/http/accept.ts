import type { FastifyRequest } from 'fastify';
import Negotiator from 'negotiator';

/** Whether a browser asks: browsers name HTML in `Accept`, programs accept anything, or JSON. */
export function wantsPage(request: FastifyRequest): boolean {
  return new Negotiator(request.raw).mediaType(['application/json', 'text/html']) === 'text/html';
}
