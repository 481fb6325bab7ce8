import { Readable } from 'node:stream';
import { feeds as contract, parseId } from '@kohort/contract';
import type { FastifyReply, FastifyRequest } from 'fastify';
import Negotiator from 'negotiator';
import { sendPieces } from '../../http/json-pieces.ts';
import type { Router } from '../../http/route.ts';
import type { Once } from '../idempotency/idempotency.ts';
import {
  awaitChanges,
  begun,
  changeFeed,
  createFeed,
  cursorOf,
  deleteFeed,
  type FeedRow,
  type FeedsContext,
  listFeeds,
  pagePieces,
  placeIn,
  readFeed,
  unknownFeed,
} from './feeds.ts';
import type { Followers } from './followers.ts';
import { checkPosition } from './positions.ts';
import { openSnapshot, snapshotPlaces } from './snapshot.ts';

function onWire({ id, name, segments, tags, types, is_ready, created_at, created_by }: FeedRow) {
  return {
    id,
    name,
    segments: tags ? null : segments,
    tags,
    types,
    state: is_ready ? ('ready' as const) : ('preparing' as const),
    created_at: created_at.toISOString(),
    created_by,
  };
}

function idOf(text: string): number {
  const id = parseId(text);
  if (id === undefined) throw unknownFeed();
  return id;
}

export interface FeedRoutes {
  readonly context: FeedsContext;
  readonly followers: Followers;
  readonly once: Once;
}

export function feedRoutes({ route }: Router, { context, followers, once }: FeedRoutes): void {
  const { db } = context;
  const places = snapshotPlaces();

  route(contract.createFeed, async ({ body, caller, idempotent }) => {
    const created = await once(idempotent, (within) => createFeed(context, within, body, caller));
    return { id: created.id, cursor: await begun(context, created) };
  });

  route(contract.listFeeds, async ({ query, caller }) => {
    const { feeds, next_cursor } = await listFeeds(context, { ...query, keyTags: caller.tags });
    return { feeds: feeds.map(onWire), next_cursor };
  });

  route(contract.readFeed, async ({ params, caller }) => onWire(await readFeed(db, idOf(params.id), caller.tags)));

  route(contract.changeFeed, async ({ params, body, caller }) => {
    const { id } = await readFeed(db, idOf(params.id), caller.tags);
    return onWire(await changeFeed(context, id, body, caller));
  });

  route(contract.deleteFeed, async ({ params, caller }) => {
    const { id } = await readFeed(db, idOf(params.id), caller.tags);
    await deleteFeed(db, id);
    return undefined;
  });

  route(contract.feedSnapshot, async ({ params, caller, reply }) => {
    const feed = await readFeed(db, idOf(params.id), caller.tags);
    const stream = await openSnapshot(context, places, feed, caller.actor);
    reply.type('application/x-ndjson; charset=utf-8').header('cache-control', 'no-store');
    await reply.send(stream);
    return undefined;
  });

  route(contract.feedChanges, async ({ params, query, caller, request, reply }) => {
    const lastEvent = wantsEvents(request) ? lastEventId(request) : undefined;
    const cursor = lastEvent ?? query.after;
    // Malformed input is refused before a missing feed is.
    if (cursor !== undefined) checkPosition(cursor, lastEvent ? '/headers/last-event-id' : '/query/after');
    const feed = await readFeed(db, idOf(params.id), caller.tags);
    const left = leaving(reply);
    reply.header('cache-control', 'no-store');
    if (wantsEvents(request)) {
      const place = await placeIn(context, feed, cursor);
      const events = followers.follow(feed, place, caller, left);
      reply.type('text/event-stream; charset=utf-8').header('x-accel-buffering', 'no');
      return reply.send(Readable.from(events, { highWaterMark: 1 }));
    }
    const place = await placeIn(context, feed, cursor);
    const waitMs = (query.wait ?? 0) * 1000;
    const leave = waitMs > 0 ? followers.enter(caller.actor) : () => undefined;
    try {
      const options = { limit: query.limit ?? 100, waitMs, left };
      const { changes, position } = await awaitChanges(context, feed, place, options);
      return await sendPieces(reply, pagePieces(changes, await cursorOf(context, position)));
    } finally {
      leave();
    }
  });
}

/** Whether the caller prefers server-sent events to JSON. */
function wantsEvents({ headers }: FastifyRequest): boolean {
  return new Negotiator({ headers }).mediaType(['application/json', 'text/event-stream']) === 'text/event-stream';
}

function lastEventId({ headers }: FastifyRequest): string | undefined {
  const id = headers['last-event-id'];
  return typeof id === 'string' && id !== '' ? id : undefined;
}

/** Aborted when the follower disconnects. */
function leaving({ raw: response }: FastifyReply): AbortSignal {
  const left = new AbortController();
  response.once('close', () => left.abort());
  if (response.closed) left.abort();
  return left.signal;
}
