import type { FastifyRequest } from 'fastify';
import Negotiator from 'negotiator';

/** Whether a person looks: browsers name HTML in `Accept`, programs take anything, or JSON. */
export function wantsPage(request: FastifyRequest): boolean {
  return new Negotiator(request.raw).mediaType(['application/json', 'text/html']) === 'text/html';
}
