import { feeds as contract, parseId } from '@kohort/contract';
import type { Router } from '../../http/route.ts';
import type { Once } from '../idempotency/idempotency.ts';
import {
  begun,
  changeOnWire,
  changesAfter,
  createFeed,
  cursorOf,
  deleteFeed,
  type FeedRow,
  type FeedsContext,
  listFeeds,
  placeIn,
  readFeed,
  unknownFeed,
} from './feeds.ts';
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

export function feedRoutes({ route }: Router, context: FeedsContext, once: Once): void {
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

  route(contract.feedChanges, async ({ params, query, caller }) => {
    const feed = await readFeed(db, idOf(params.id), caller.tags);
    const place = await placeIn(context, feed, query.after);
    const { changes, position } = await changesAfter(db, feed, place, query.limit ?? 100);
    return { changes: changes.map(changeOnWire), cursor: await cursorOf(context, position) };
  });
}
