import type { IncomingHttpHeaders } from 'node:http';
import { maxListEntries, Problem } from '@kohort/contract';
import type { FastifyInstance, FastifyRequest } from 'fastify';

const MAX_DEPTH = 64;
const MAX_TOKEN = 100;
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
 * a double; and lists and nesting that would exhaust something further on.
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
      if (Array.isArray(value) && value.length > maxListEntries) {
        refuse(path, `must not have more than ${maxListEntries} entries`);
      }
      for (const [key, child] of Object.entries(value)) {
        if (key.includes('\0') || !key.isWellFormed()) refuse(path, 'must not have a key with NUL or a lone surrogate');
        stack.push({ value: child, path: `${path}/${pointerToken(key)}`, depth: depth + 1 });
      }
    }
  }
}

/** One step of a JSON pointer (RFC 6901), cut to what a person would read. */
function pointerToken(key: string): string {
  return key.slice(0, MAX_TOKEN).replaceAll('~', '~0').replaceAll('/', '~1');
}

/**
 * JSON bodies: strict UTF-8, nothing that cannot be stored, and empty where the seed's clients send a `DELETE` with a content
 * type and no body. `__proto__` keys are refused by Fastify's own parser, which gets every body that is not empty.
 */
export function acceptJson(app: FastifyInstance): void {
  const parse = app.getDefaultJsonParser('error', 'error');

  function read(request: FastifyRequest, body: Buffer): unknown {
    refuseEncoded(request.headers);
    if (body.length === 0) return undefined;
    let [failed, value]: [Error | null, unknown] = [null, undefined];
    // It answers at once, and takes what is thrown inside for a fault of the JSON: so nothing may be.
    parse(request, decode(body), (error, parsed) => {
      [failed, value] = [error, parsed];
    });
    // Without the parser's own words: they quote the body.
    if (failed) throw malformed('The body is not valid JSON, or has a key that no object may have.');
    refuseUnstorable(value);
    return value;
  }

  app.removeAllContentTypeParsers();
  app.addContentTypeParser<Buffer>('application/json', { parseAs: 'buffer' }, (request, body, done) => {
    let value: unknown;
    try {
      value = read(request, body);
    } catch (error) {
      return done(error as Error);
    }
    done(null, value);
  });
}

/** Bodies come as they are, in UTF-8. */
export function refuseEncoded(headers: IncomingHttpHeaders): void {
  const charset = /;\s*charset\s*=\s*"?([^";\s]+)"?/i.exec(headers['content-type'] ?? '')?.[1];
  if (charset !== undefined && !/^utf-?8$/i.test(charset)) {
    throw new Problem('media_type', 'This charset is not supported; send UTF-8.');
  }
  const encoding = headers['content-encoding'];
  if (encoding !== undefined && encoding.toLowerCase() !== 'identity') {
    throw new Problem('media_type', 'Content-Encoding is not supported; send the body as it is.');
  }
}
