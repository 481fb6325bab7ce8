import { isOfrep, Problem } from '@kohort/contract';
import type { FastifyInstance } from 'fastify';
import type { Db } from '../../postgres/database.ts';
import { browserOrigins } from '../keys/keys.ts';

const maxAgeMs = 1_000;
const preflightMaxAgeSeconds = 600;

/** The origins of browser keys, cached for a second. */
function knownOrigins(db: Db, now: () => number): () => Promise<ReadonlySet<string>> {
  let reading: Promise<ReadonlySet<string>> | undefined;
  let readAt = Number.NEGATIVE_INFINITY;
  return () => {
    if (reading === undefined || now() - readAt > maxAgeMs) {
      readAt = now();
      reading = browserOrigins(db).catch((error) => {
        reading = undefined;
        throw error;
      });
    }
    return reading;
  };
}

/** CORS only for OFREP and only for the origins of browser keys. */
export function answerCrossOrigin(app: FastifyInstance, db: Db): void {
  const origins = knownOrigins(db, () => performance.now());

  app.addHook('onRequest', (request, reply, done) => {
    if (!isOfrep(request.raw.url ?? '')) return done();
    reply.header('vary', 'Origin');
    const { origin } = request.headers;
    if (origin === undefined) return done();
    origins().then(
      (known) => {
        if (known.has(origin)) {
          reply.header('access-control-allow-origin', origin);
          reply.header('access-control-expose-headers', 'ETag, Retry-After, X-Request-Id');
        }
        done();
      },
      // While the database is unavailable no origin is known; the call itself reports that.
      () => done(),
    );
  });

  app.options('/ofrep/v1/*', async (_request, reply) => {
    if (!reply.hasHeader('access-control-allow-origin')) {
      throw new Problem('forbidden', 'No browser key allows this origin.');
    }
    return reply
      .code(204)
      .header('access-control-allow-methods', 'POST, GET')
      .header('access-control-allow-headers', 'Authorization, Content-Type, If-None-Match, Last-Event-ID, X-Request-Id')
      .header('access-control-max-age', preflightMaxAgeSeconds)
      .send();
  });
}
