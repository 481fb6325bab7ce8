import {
  type Answer,
  type Body,
  type Endpoint,
  invalid,
  type Params,
  Problem,
  type Query,
  roles,
  strict,
} from '@kohort/contract';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { type Authenticate, anonymous, type Caller } from './caller.ts';

declare module 'fastify' {
  interface FastifyRequest {
    caller: Caller;
  }
}

export interface Call<E extends Endpoint> {
  readonly params: Params<E>;
  readonly query: Query<E>;
  readonly body: Body<E>;
  readonly caller: Caller;
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
}

export interface RouteSettings {
  readonly authenticate: Authenticate;
  /** Evaluation mode: the seed's calls need no token, and any good one will do. */
  readonly seedIsOpen: boolean;
}

/** Registers endpoints on one Fastify instance; made once, by the composition root. */
export interface Router {
  readonly app: FastifyInstance;
  route<const E extends Endpoint>(endpoint: E, handle: (call: Call<E>) => Promise<Answer<E>>): void;
}

const BEARER = /^Bearer +([A-Za-z0-9._~+/=-]+) *$/i;

function unauthenticated(detail: string, parameters = ''): Problem {
  return new Problem('unauthenticated', detail, {
    headers: { 'www-authenticate': `Bearer realm="kohort"${parameters}` },
  });
}

export function tokenNeeded(): Problem {
  return unauthenticated('This call needs a token: Authorization: Bearer …');
}

/** Who calls; anonymous without a credential. A credential that is there but no good is refused, never ignored. */
export async function identify(request: FastifyRequest, authenticate: Authenticate): Promise<Caller> {
  const { authorization } = request.headers;
  if (authorization === undefined) return anonymous;
  const token = BEARER.exec(authorization)?.[1];
  const caller = token === undefined ? undefined : await authenticate(token);
  if (!caller) throw unauthenticated('The token is not valid, or not any more.', ', error="invalid_token"');
  return caller;
}

function isAllowed(endpoint: Endpoint, caller: Caller, request: FastifyRequest): boolean {
  const rank = caller.role === undefined ? -1 : roles.indexOf(caller.role);
  switch (endpoint.access) {
    case 'public':
      return true;
    case 'session':
      return caller.kind === 'session';
    case 'self': {
      const { user } = request.params as { user?: string };
      return rank >= roles.indexOf('viewer') || user === String(caller.userId);
    }
    default:
      return rank >= roles.indexOf(endpoint.access);
  }
}

function authorize(endpoint: Endpoint, caller: Caller, request: FastifyRequest, { seedIsOpen }: RouteSettings): void {
  if (endpoint.access === 'public' || (seedIsOpen && endpoint.seed)) return;
  if (caller.kind === 'anonymous') throw tokenNeeded();
  if (!isAllowed(endpoint, caller, request)) {
    throw new Problem(
      'forbidden',
      endpoint.access === 'session'
        ? 'This call is for accounts that signed in.'
        : 'Your role does not allow this call.',
    );
  }
}

/** `/api/users/{user}` as Fastify writes it. */
export function fastifyPath(path: string): string {
  return path.replaceAll(/\{(\w+)\}/g, ':$1');
}

/** What clients send that always send something. */
function isEmpty(body: unknown): boolean {
  return body == null || (typeof body === 'object' && Object.keys(body).length === 0);
}

export function createRouter(app: FastifyInstance, settings: RouteSettings): Router {
  app.decorateRequest('caller');
  return {
    app,
    route(endpoint, handle) {
      const { params, query = strict({}), body, headers } = endpoint;
      app.route({
        method: endpoint.method,
        url: fastifyPath(endpoint.path),
        schema: { querystring: query, ...(params && { params }), ...(body && { body }), ...(headers && { headers }) },
        onRequest: async (request) => {
          request.caller = await identify(request, settings.authenticate);
          authorize(endpoint, request.caller, request, settings);
        },
        preValidation: async (request) => {
          if (!body && !isEmpty(request.body)) throw invalid('/body', 'is not taken by this call');
        },
        handler: async (request, reply) => {
          // The schemas of this very endpoint have just accepted the three parts: that is what makes these types true.
          const answer = await handle({
            params: request.params as Params<typeof endpoint>,
            query: request.query as Query<typeof endpoint>,
            body: request.body as Body<typeof endpoint>,
            caller: request.caller,
            request,
            reply,
          });
          if (reply.sent) return reply;
          reply.code(endpoint.success.status);
          return answer === undefined ? reply.send() : answer;
        },
      });
    },
  };
}
