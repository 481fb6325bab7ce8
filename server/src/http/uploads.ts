import type { IncomingMessage } from 'node:http';
import { Problem } from '@kohort/contract';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { refuseEncoded } from './json.ts';

declare module 'fastify' {
  interface FastifyInstance {
    /** From now on a request may take as long as it likes, as long as it does not stand still. */
    letTakeItsTime(request: IncomingMessage): void;
  }
}

/** Routes of this scope get bodies of these types as streams, of any size; other types are 415. */
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
  // Without a body there was no parser to ask.
  scope.addHook('preValidation', async (request) => {
    if (!types.includes(typeOf(request))) throw refusal();
  });
}

function typeOf({ headers }: FastifyRequest): string {
  return (headers['content-type'] ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? '';
}

/** A client that leaves breaks off what it sends: no fault of ours, and not to be taken for one of the database's connections. */
async function* toItsEnd(body: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  try {
    yield* body;
  } catch (error) {
    throw new Problem('malformed', 'The upload broke off.', { cause: error });
  }
}

/** The streamed body of a request; undefined where there is none. */
export function uploadOf(request: FastifyRequest): { type: string; stream: AsyncIterable<Buffer> | undefined } {
  const body = request.body as AsyncIterable<Buffer> | undefined;
  return { type: typeOf(request), stream: body && toItsEnd(body) };
}
