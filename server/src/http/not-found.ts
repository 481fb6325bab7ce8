import { type Endpoint, Problem } from '@kohort/contract';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { identify, tokenNeeded } from './access.ts';
import type { Authenticate } from './caller.ts';
import { withSession } from './session-cookie.ts';

declare module 'fastify' {
  interface FastifyInstance {
    /** For requests without a route: throws 401 when the path needs a credential, before any other answer. */
    refuseStrangers(request: FastifyRequest): Promise<void>;
  }
}

interface Known {
  readonly pattern: RegExp;
  readonly methods: ReadonlySet<string>;
}

function patternOf(path: string): string {
  return `^${path.replaceAll(/[.*+?^$()|[\]\\]/g, '\\$&').replaceAll(/\{\w+\}/g, '[^/]+')}$`;
}

function tableOf(endpoints: readonly Pick<Endpoint, 'method' | 'path'>[]): Known[] {
  const paths = Map.groupBy(endpoints, ({ path }) => patternOf(path));
  return [...paths].map(([pattern, ones]) => ({
    pattern: new RegExp(pattern),
    methods: new Set(ones.flatMap(({ method }) => (method === 'GET' ? ['GET', 'HEAD'] : [method]))),
  }));
}

export interface UnknownSettings {
  readonly authenticate: Authenticate;
  /** Production: callers without a credential learn nothing about /api, not even which paths do not exist. */
  readonly credentialFirst: boolean;
}

/** Answers requests without a route: 405 when the path exists with another method, otherwise 404. */
export function answerUnknown(
  app: FastifyInstance,
  endpoints: readonly Pick<Endpoint, 'method' | 'path'>[],
  { authenticate, credentialFirst }: UnknownSettings,
): void {
  const table = tableOf(endpoints);

  app.decorate('refuseStrangers', async (request) => {
    if (!/^\/api(?:\/|$)/.test(pathOf(request))) return;
    const caller = await identify(withSession(request), authenticate);
    if (credentialFirst && caller.kind === 'anonymous') throw tokenNeeded();
  });

  async function refuse(request: FastifyRequest): Promise<never> {
    await app.refuseStrangers(request);
    const path = pathOf(request);
    const methods = new Set(table.filter(({ pattern }) => pattern.test(path)).flatMap((known) => [...known.methods]));
    if (methods.size === 0) throw new Problem('route_unknown', 'There is no such path. GET /openapi.json lists them.');
    const allow = [...methods].sort().join(', ');
    throw new Problem('method_not_allowed', `This path supports ${allow}.`, { headers: { allow } });
  }

  // Runs before the body is read: its form does not matter for a path that does not exist.
  app.addHook('onRequest', (request, _reply, done) => {
    if (request.is404) refuse(request).catch(done);
    else done();
  });
  app.setNotFoundHandler(refuse);
}

/** The target without the scheme and host that requests to a proxy begin with. */
function pathOf({ raw }: FastifyRequest): string {
  return /^(?:https?:\/\/[^/?#]*)?([^?#]*)/i.exec(raw.url ?? '')?.[1] ?? '';
}
