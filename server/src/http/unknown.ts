import { type Endpoint, Problem } from '@kohort/contract';
import type { FastifyInstance } from 'fastify';
import type { Authenticate } from './caller.ts';
import { identify } from './route.ts';

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
  /** Production: strangers learn nothing about /api, not even what is not there. */
  readonly credentialFirst: boolean;
}

/** No route took the request: 405 when another method would have, otherwise 404. */
export function answerUnknown(
  app: FastifyInstance,
  endpoints: readonly Pick<Endpoint, 'method' | 'path'>[],
  { authenticate, credentialFirst }: UnknownSettings,
): void {
  const table = tableOf(endpoints);
  app.setNotFoundHandler(async (request) => {
    const path = request.url.split('?', 1)[0] ?? '/';
    if (path.startsWith('/api/') || path === '/api') {
      const caller = await identify(request, authenticate);
      if (credentialFirst && caller.kind === 'anonymous') {
        throw new Problem('unauthenticated', 'This call needs a token: Authorization: Bearer …', {
          headers: { 'www-authenticate': 'Bearer realm="kohort"' },
        });
      }
    }
    const methods = new Set(table.filter(({ pattern }) => pattern.test(path)).flatMap((known) => [...known.methods]));
    if (methods.size === 0) throw new Problem('route_unknown', 'There is no such path. GET /openapi.json lists them.');
    const allow = [...methods].sort().join(', ');
    throw new Problem('method_not_allowed', `This path takes ${allow}.`, { headers: { allow } });
  });
}
