import { Problem } from '@kohort/contract';
import type { FastifyInstance } from 'fastify';

const MAX_DEPTH = 64;
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: false });

function malformed(detail: string): Problem {
  return new Problem('malformed', detail);
}

function decode(body: Buffer): string {
  try {
    return utf8.decode(body);
  } catch {
    throw malformed('The body is not valid UTF-8.');
  }
}

/**
 * Refuses what JSON can say but PostgreSQL cannot keep, or would keep as something else: NUL, lone surrogates, numbers beyond
 * a double, and nesting that would exhaust a stack further on.
 */
function refuseUnstorable(root: unknown): void {
  const stack: { value: unknown; path: string; depth: number }[] = [{ value: root, path: '/body', depth: 0 }];
  const refuse = (path: string, what: string): never => {
    throw new Problem('invalid', `${path} ${what}`, { errors: [{ path, message: what }] });
  };
  for (let one = stack.pop(); one !== undefined; one = stack.pop()) {
    const { value, path, depth } = one;
    if (typeof value === 'string') {
      if (value.includes('\0')) refuse(path, 'must not hold NUL');
      if (!value.isWellFormed()) refuse(path, 'must not hold a lone surrogate');
    } else if (typeof value === 'number') {
      if (!Number.isFinite(value)) refuse(path, 'must be within the range of a double');
    } else if (typeof value === 'object' && value !== null) {
      if (depth === MAX_DEPTH) refuse('/body', `must not nest deeper than ${MAX_DEPTH}`);
      for (const [key, child] of Object.entries(value)) {
        if (key.includes('\0') || !key.isWellFormed()) refuse(path, 'must not have a key with NUL or a lone surrogate');
        stack.push({ value: child, path: `${path}/${key}`, depth: depth + 1 });
      }
    }
  }
}

/**
 * JSON bodies: strict UTF-8, nothing that cannot be stored, and empty where the seed's clients send a `DELETE` with a content
 * type and no body. `__proto__` keys are refused by Fastify's own parser, which gets every body that is not empty.
 */
export function acceptJson(app: FastifyInstance): void {
  const parse = app.getDefaultJsonParser('error', 'error');
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (request, body, done) => {
    const { charset } = parametersOf(request.headers['content-type'] ?? '');
    if (charset !== undefined && !/^utf-?8$/i.test(charset)) {
      return done(new Problem('media_type', `The charset ${charset} is not supported; send UTF-8.`));
    }
    if (body.length === 0) return done(null, undefined);
    try {
      const text = decode(Buffer.isBuffer(body) ? body : Buffer.from(body));
      parse(request, text, (error, value) => {
        if (error) return done(malformed(`The body is not valid JSON: ${wordsOf(error)}`));
        refuseUnstorable(value);
        done(null, value);
      });
    } catch (error) {
      done(error instanceof Error ? error : new Error(String(error)));
    }
  });
}

function parametersOf(contentType: string): { charset: string | undefined } {
  return { charset: /;\s*charset\s*=\s*"?([^";\s]+)"?/i.exec(contentType)?.[1] };
}

/** The parser's complaint without the excerpt of the body that node adds to it. */
function wordsOf(error: Error): string {
  return error.message.replace(/,? (?:\.\.\.)?".*$/s, '').slice(0, 200);
}
