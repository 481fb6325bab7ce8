import { Readable } from 'node:stream';
import { ofrep as contract } from '@kohort/contract';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { AtMost } from '../../concurrency/at-most.ts';
import type { Caller } from '../../http/caller.ts';
import { sendJsonPieces } from '../../http/json-pieces.ts';
import type { Router } from '../../http/route.ts';
import type { Db } from '../../postgres/database.ts';
import { answerTooLarge, maxAnswerBytes } from '../memberships/memberships.ts';
import { refuseUnseen, seenIds } from '../segments/segments.ts';
import { readContext } from './context.ts';
import { entityTagOf, isNamed } from './etag.ts';
import { evaluateFlag, evaluateFlags, evaluatorOf, type FlagContext } from './evaluate.ts';
import type { StreamLinks } from './links.ts';
import { type FlagStreams, unknownStream } from './streams.ts';

export interface OfrepContext extends FlagContext {
  readonly db: Db;
  readonly largeAnswers: AtMost;
  readonly links: StreamLinks;
  readonly streams: FlagStreams;
}

/** Seconds after which a hidden page may close its stream. */
const inactivityDelaySec = 120;

/** The stream of one user and credential, as the member of the answer that announces it. */
function streamOf({ links }: OfrepContext, { server }: FastifyRequest, caller: Caller, targetingKey: string) {
  const link = links.sign({ targetingKey, keyId: caller.keyId, sessionId: caller.sessionId }, Date.now());
  const { publicUrl } = server;
  return {
    type: 'sse',
    endpoint: {
      ...(publicUrl && { origin: publicUrl.origin }),
      // Clients resolve it against an origin, so it carries the prefix.
      requestUri: `${publicUrl?.pathPrefix ?? ''}/ofrep/v1/events/${link}`,
    },
    inactivityDelaySec,
  };
}

/** Assembles the answer from flags that are serialized already. */
function bodyOf(flags: readonly string[], stream: object): { pieces: Iterable<string>; bytes: number } {
  const opening = '{"flags":[';
  const closing = `],"eventStreams":[${JSON.stringify(stream)}],"metadata":{}}`;
  let bytes = opening.length + Buffer.byteLength(closing) + Math.max(0, flags.length - 1);
  for (const flag of flags) bytes += flag.length;
  if (bytes > maxAnswerBytes) throw answerTooLarge();
  function* pieces(): Generator<string> {
    yield opening;
    for (const [i, flag] of flags.entries()) yield i === 0 ? flag : `,${flag}`;
    yield closing;
  }
  return { pieces: pieces(), bytes };
}

/** Aborted when the follower disconnects. */
function leaving({ raw: response }: FastifyReply): AbortSignal {
  const left = new AbortController();
  response.once('close', () => left.abort());
  if (response.closed) left.abort();
  return left.signal;
}

export function ofrepRoutes({ route }: Router, context: OfrepContext): void {
  const { db, links, streams } = context;

  route(contract.evaluateFlag, async ({ params, body, caller }) => {
    const evaluation = await evaluateFlag(context, params.flag, readContext(body), evaluatorOf(caller));
    if (caller.tags) await refuseUnseen(db, caller.tags, [params.flag]);
    return evaluation;
  });

  route(contract.evaluateFlags, async ({ body, caller, request, reply }) => {
    const asked = readContext(body);
    const seenBy = (ids: readonly number[]) => seenIds(db, caller.tags, ids);
    const flags = await evaluateFlags(context, asked, { ...evaluatorOf(caller), caller: caller.actor, seenBy });
    const stream = streamOf(context, request, caller, asked.targetingKey);
    // The stream's address changes every hour. Including it makes clients fetch the new one although no flag has changed.
    const tag = await entityTagOf([caller.actor, caller.tags, asked, stream], flags);
    reply.header('etag', tag).header('cache-control', 'private, no-cache');
    if (isNamed(tag, request.headers['if-none-match'])) return reply.code(304).send();
    return sendJsonPieces(reply, bodyOf(flags, stream));
  });

  route(contract.followFlags, async ({ params, request, reply }) => {
    const link = links.open(params.stream, Date.now());
    if (!link) throw unknownStream();
    const lastEventId = request.headers['last-event-id'];
    const left = leaving(reply);
    const events = await streams.follow(link, left, typeof lastEventId === 'string' ? lastEventId : undefined);
    if (left.aborted) return undefined;
    reply
      .type('text/event-stream; charset=utf-8')
      .header('cache-control', 'no-store')
      .header('x-accel-buffering', 'no');
    await reply.send(Readable.from(events));
    return undefined;
  });
}
