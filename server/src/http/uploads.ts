import type { IncomingMessage } from 'node:http';
import { Problem } from '@kohort/contract';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { refuseEncoded } from './json.ts';

declare module 'fastify' {
  interface FastifyInstance {
    /** Lets a request take any time from now on, as long as bytes keep arriving. */
    letTakeItsTime(request: IncomingMessage): void;
  }
}

/** Routes of this scope get bodies of these types as streams of any size; other types are refused with 415. */
export function takeUploads(scope: FastifyInstance, types: readonly string[]): void {
  const refusal = () => new Problem('media_type', `Send ${types.join(' or ')}.`);
  scope.removeAllContentTypeParsers();
  for (const type of types) {
    scope.addContentTypeParser(type, (request, payload, done) => {
      try {
        refuseEncoded(request.headers);
      } catch (error) {
        return done(error as Error);
      }
      scope.letTakeItsTime(request.raw);
      done(null, payload);
    });
  }
  scope.addContentTypeParser('*', (_request, _payload, done) => done(refusal()));
  // Without a body, no content-type parser has run.
  scope.addHook('preValidation', async (request) => {
    if (!types.includes(typeOf(request))) throw refusal();
  });
}

function typeOf({ headers }: FastifyRequest): string {
  return (headers['content-type'] ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? '';
}

/** A client that disconnects aborts its upload. That is not an internal error and must not look like a lost database connection. */
async function* toItsEnd(body: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  try {
    yield* body;
  } catch (error) {
    throw new Problem('malformed', 'The upload was interrupted.', { cause: error });
  }
}

/** The streamed body of a request; undefined where there is none. */
export function uploadOf(request: FastifyRequest): { type: string; stream: AsyncIterable<Buffer> | undefined } {
  const body = request.body as AsyncIterable<Buffer> | undefined;
  return { type: typeOf(request), stream: body && toItsEnd(body) };
}
