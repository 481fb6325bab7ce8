import type { IncomingHttpHeaders } from 'node:http';
import { isObject, isStorableText, maxListEntries, Problem } from '@kohort/contract';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { findInexactInteger } from './inexact-integers.ts';
import { measureJson } from './json-scan.ts';

const maxDepth = 64;
const maxTokenLength = 100;
/** Limits per object and per body. They exceed every valid call, which later limits on lists, nodes and bytes bound further. */
const maxFields = 5_000;
const maxAllFields = 25_000;
const notJson = 'The body is not valid JSON, or has a key that no object may have.';
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

function refuse(path: string, what: string): never {
  throw new Problem('invalid', `${path} ${what}`, { errors: [{ path, message: what }] });
}

/** Refuses a body before it is parsed when parsing it would block other calls. */
function refuseHuge(body: Buffer): void {
  const { fields, allFields, depth } = measureJson(body);
  if (depth > maxDepth) refuse('/body', `must not nest deeper than ${maxDepth}`);
  if (fields > maxFields) refuse('/body', `must not have an object with more than ${maxFields} fields`);
  if (allFields > maxAllFields) refuse('/body', `must not have more than ${maxAllFields} fields in all`);
}

/** A place in a body; turned into text only for a refusal. */
interface Place {
  readonly parent: Place | undefined;
  readonly key: string | number;
}

function pathOf(place: Place | undefined): string {
  const tokens: string[] = [];
  for (let at = place; at; at = at.parent) tokens.unshift(pointerToken(String(at.key)));
  return ['/body', ...tokens].join('/');
}

/**
 * Refuses JSON that PostgreSQL cannot store unchanged (NUL, lone surrogates, numbers beyond a double), lists that would exhaust
 * a later stage, and keys with a special meaning in JavaScript.
 */
function refuseUnstorable(value: unknown, place?: Place): void {
  if (typeof value === 'string') {
    if (isStorableText(value)) return;
    refuse(pathOf(place), value.includes('\0') ? 'must not hold NUL' : 'must not hold a lone surrogate');
  } else if (typeof value === 'number') {
    if (!Number.isFinite(value)) refuse(pathOf(place), 'must be within the range of a double');
  } else if (Array.isArray(value)) {
    if (value.length > maxListEntries) refuse(pathOf(place), `must not have more than ${maxListEntries} entries`);
    for (const [i, entry] of value.entries()) refuseInside(entry, place, i);
  } else if (isObject(value)) {
    for (const key of Object.keys(value)) {
      if (!isStorableText(key)) refuse(pathOf(place), 'must not have a key with NUL or a lone surrogate');
      if (key === '__proto__' || (key === 'constructor' && isObject(value[key]) && 'prototype' in value[key])) {
        throw malformed(notJson);
      }
      refuseInside(value[key], place, key);
    }
  }
}

/** Only values that may need a place get one, because bodies have hundreds of thousands of scalars. */
function refuseInside(value: unknown, parent: Place | undefined, key: string | number): void {
  const isPlain = typeof value === 'boolean' || value === null || (typeof value === 'number' && Number.isFinite(value));
  if (!isPlain) refuseUnstorable(value, { parent, key });
}

/** One step of a JSON pointer (RFC 6901), cut to a readable length. */
function pointerToken(key: string): string {
  return key.slice(0, maxTokenLength).replaceAll('~', '~0').replaceAll('/', '~1');
}

function parseBody(request: FastifyRequest, body: Buffer): unknown {
  refuseEncoded(request.headers);
  if (body.length === 0) return undefined;
  refuseHuge(body);
  const text = decode(body);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // The parser's message is dropped, because it quotes the body.
    throw malformed(notJson);
  }
  refuseUnstorable(value);
  const inexact = findInexactInteger(text);
  if (inexact) {
    const path = ['/body', ...inexact.map((key) => pointerToken(String(key)))].join('/');
    refuse(path, 'is an integer that a double cannot hold exactly; send it as text');
  }
  return value;
}

/**
 * Accepts JSON bodies in strict UTF-8 that can be stored. An empty body is allowed, because the seed's clients send `DELETE`
 * with a content type and no body.
 */
export function acceptJson(app: FastifyInstance): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser<Buffer>('application/json', { parseAs: 'buffer' }, (request, body, done) => {
    let value: unknown;
    try {
      value = parseBody(request, body);
    } catch (error) {
      return done(error as Error);
    }
    done(null, value);
  });
}

/** Refuses bodies that are compressed or not in UTF-8. */
export function refuseEncoded(headers: IncomingHttpHeaders): void {
  const charset = /;\s*charset\s*=\s*"?([^";\s]+)"?/i.exec(headers['content-type'] ?? '')?.[1];
  if (charset !== undefined && !/^utf-?8$/i.test(charset)) {
    throw new Problem('media_type', 'This charset is not supported; send UTF-8.');
  }
  const encoding = headers['content-encoding'];
  if (encoding !== undefined && encoding.toLowerCase() !== 'identity') {
    throw new Problem('media_type', 'Content-Encoding is not supported; send the body uncompressed.');
  }
}
