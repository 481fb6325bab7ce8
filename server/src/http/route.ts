import {
  type Answer,
  type Body,
  type Endpoint,
  invalid,
  isOfrep,
  type Params,
  Problem,
  type Query,
  strict,
} from '@kohort/contract';
import type { FastifyInstance, FastifyReply, FastifyRequest, onRequestHookHandler, RouteOptions } from 'fastify';
import { AtMost } from '../concurrency/at-most.ts';
import { onBehalfOf } from '../concurrency/party.ts';
import { identify, recognise, refusalOf } from './access.ts';
import type { Authenticate, Caller, Recognise } from './caller.ts';
import type { KnownCallers } from './connections/callers.ts';
import { isOfForeignPage } from './host.ts';
import { type IdempotentCall, idempotentCallOf } from './idempotency.ts';
import { sendPage } from './json-pieces.ts';
import { partyOf } from './party.ts';
import { withSession } from './session-cookie.ts';
import { takeUploads } from './uploads.ts';

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
  /** Set when the call takes an Idempotency-Key and came with one. */
  readonly idempotent: IdempotentCall | undefined;
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
}

export interface RouteSettings {
  readonly authenticate: Authenticate;
  readonly known: Recognise;
  /** Evaluation mode: the seed's calls need no token and accept any valid one. */
  readonly seedIsOpen: boolean;
  /** The value of HOST. */
  readonly host?: string;
  /** Rejects with a 404 unless the segment carries one of the tags. */
  readonly refuseUnseen: (tags: readonly string[], slug: string) => Promise<void>;
  /** Remembers which caller a credential belongs to, for shares of the load. */
  readonly callers?: KnownCallers;
}

/** Registers endpoints on one Fastify instance; made once, by the composition root. */
export interface Router {
  readonly app: FastifyInstance;
  /** `handle` returns the answer, or the reply if it has sent one itself. */
  route<const E extends Endpoint>(endpoint: E, handle: (call: Call<E>) => Promise<Answer<E> | FastifyReply>): void;
}

// Bounds what callers without a credential may send: names and passwords have up to 255 characters of up to 12 bytes in JSON.
const maxAuthBodyBytes = 16 * 1024;

/** Larger pages than one gets unless asked are read few at a time, and half of them for one caller. */
const usualLimit = 100;
const largePages = new AtMost({
  atOnce: 8,
  waiting: 500,
  factor: 1,
  refusal: 'Too many large pages are being read. Try again shortly.',
  retryAfterSeconds: 1,
});

function isLargePage(query: unknown): boolean {
  const { limit } = query as { readonly limit?: number };
  return limit !== undefined && limit > usualLimit;
}

/** `/api/users/{user}` as Fastify writes it. */
export function fastifyPath(path: string): string {
  return path.replaceAll(/\{(\w+)\}/g, ':$1');
}

/** The bodies of clients that always send one. */
function isEmpty(body: unknown): boolean {
  return body == null || (typeof body === 'object' && Object.keys(body).length === 0);
}

function foreignPage(): Problem {
  return new Problem(
    'forbidden',
    'Evaluation mode takes calls without a token from web pages of localhost, an IP address or HOST alone. Send a token.',
  );
}

/** Whether a call looks at the console's cookie: the console has no use for OFREP, whose callers are services and browser keys. */
function takesSession({ access, path }: Endpoint): boolean {
  return access !== 'public' && !isOfrep(path);
}

/** Authenticates and authorises the caller, before the rest of the request is read. */
function admission(endpoint: Endpoint, settings: RouteSettings): onRequestHookHandler {
  const { authenticate, known, callers, seedIsOpen, host = 'localhost' } = settings;
  return (request, _reply, done) => {
    const headers = takesSession(endpoint) ? withSession(request) : request.headers;
    const admit = (caller: Caller) => {
      request.caller = caller;
      if (headers.authorization !== undefined) callers?.learn(headers.authorization, caller);
      const { user } = request.params as { readonly user?: string };
      const isOpen = seedIsOpen && endpoint.seed && caller.kind === 'anonymous';
      if (isOpen && isOfForeignPage(request.raw, host)) done(foreignPage());
      else done(refusalOf(endpoint, caller, { user, seedIsOpen, origin: request.headers.origin }));
    };
    const caller = recognise(headers, known);
    if (caller) return admit(caller);
    identify(headers, authenticate).then(admit, (error) => {
      callers?.forget(headers.authorization ?? '');
      done(error);
    });
  };
}

/** Refuses keys with tags on calls whose path names a segment that they do not see. */
async function refuseUntaggedSegment(
  { taggedKeys }: Endpoint,
  { caller, params }: FastifyRequest,
  { refuseUnseen }: RouteSettings,
): Promise<void> {
  const { slug } = params as { readonly slug?: string };
  if (caller.tags && taggedKeys === 'segment' && slug !== undefined) await refuseUnseen(caller.tags, slug);
}

export function createRouter(app: FastifyInstance, settings: RouteSettings): Router {
  app.decorateRequest('caller');
  return {
    app,
    route(endpoint, handle) {
      const { params, query = strict({}), body, uploads, headers } = endpoint;
      const respond = async (request: FastifyRequest, reply: FastifyReply) => {
        await refuseUntaggedSegment(endpoint, request, settings);
        // The schemas of this endpoint have just validated the three parts, so these types are true.
        const call: Call<typeof endpoint> = {
          params: request.params as Params<typeof endpoint>,
          query: request.query as Query<typeof endpoint>,
          body: request.body as Body<typeof endpoint>,
          caller: request.caller,
          idempotent: idempotentCallOf(endpoint, request, reply),
          request,
          reply,
        };
        const isLarge = 'cursor' in query.properties && isLargePage(request.query);
        const answer = isLarge ? await largePages.run(() => handle(call), request.caller.actor) : await handle(call);
        // `sent` is false for a stream that a client left early.
        if (answer === reply || reply.sent || reply.raw.headersSent) return reply;
        reply.code(endpoint.success.status);
        if ('limit' in query.properties && answer !== undefined) return sendPage(reply, answer as object);
        return answer === undefined ? reply.send() : answer;
      };
      const options: RouteOptions = {
        method: endpoint.method,
        url: fastifyPath(endpoint.path),
        ...(/^\/(?:auth|ui)\//.test(endpoint.path) && { bodyLimit: maxAuthBodyBytes }),
        schema: { querystring: query, ...(params && { params }), ...(body && { body }), ...(headers && { headers }) },
        onRequest: admission(endpoint, settings),
        preValidation: (request, _reply, done) => {
          const isUnwanted = !body && !uploads && !isEmpty(request.body);
          done(isUnwanted ? invalid('/body', 'is not taken by this call') : undefined);
        },
        handler: (request, reply) => onBehalfOf(partyOf(request), () => respond(request, reply)),
      };
      if (!uploads) app.route(options);
      else
        app.register(async (scope) => {
          takeUploads(scope, uploads);
          scope.route(options);
        });
    },
  };
}
