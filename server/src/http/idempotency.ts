import { createHmac } from 'node:crypto';
import { type Endpoint, Problem } from '@kohort/contract';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { isRepeated } from './host.ts';
import { uploadOf } from './uploads.ts';

/** A call that takes effect once, however often it is sent. */
export interface IdempotentCall {
  readonly actor: string;
  /** As the client sent it; never stored. */
  readonly key: string;
  /** A hash of the whole request except for the content of an upload. */
  readonly requestHash: Buffer;
  /** Marks the answer as one that was given before. */
  replayed(): void;
}

/** The same text for every way to write the same JSON. */
function canonical(value: unknown): string {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null';
  if (Array.isArray(value)) {
    // Lists of scalars may be long.
    const isPlain = value.every((entry) => typeof entry !== 'object');
    return isPlain ? JSON.stringify(value) : `[${value.map(canonical).join()}]`;
  }
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${entries.map(([name, child]) => `${JSON.stringify(name)}:${canonical(child)}`).join()}}`;
}

/** Undefined for calls that take no key or came without one. */
export function idempotentCallOf(
  { id, headers, uploads }: Endpoint,
  request: FastifyRequest,
  reply: FastifyReply,
): IdempotentCall | undefined {
  const key = request.headers['idempotency-key'];
  if (!headers || !('idempotency-key' in headers.properties) || typeof key !== 'string') return undefined;
  if (key.includes(',') && isRepeated(request.raw.rawHeaders, 'idempotency-key')) {
    throw new Problem('malformed', 'The request has more than one Idempotency-Key header.');
  }
  const content = uploads ? uploadOf(request).type : request.body;
  return {
    actor: request.caller.actor,
    key,
    // Keyed, so that the request cannot be guessed from the hash.
    requestHash: createHmac('sha256', key)
      .update(canonical([id, request.params, request.query, content]))
      .digest(),
    replayed: () => void reply.header('idempotent-replayed', 'true'),
  };
}
