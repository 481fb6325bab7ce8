import { segments as contract, invalid } from '@kohort/contract';
import type { FastifyReply } from 'fastify';
import type { Router } from '../../http/route.ts';
import type { Once } from '../idempotency/idempotency.ts';
import { applyDefinitions } from './apply-definitions.ts';
import { type DeletionContext, deleteSegment } from './delete-segment.ts';
import { definitionOnWire } from './on-wire.ts';
import { refuseUnseenInCondition, refuseUntagged, seenSlugs } from './scope.ts';
import {
  changeSegment,
  createSegment,
  historyOfSegment,
  listSegments,
  readSegment,
  type Segment,
  type SegmentsContext,
} from './segments.ts';

function onWire(segment: Segment) {
  const { id, salt, version, created_at, updated_at } = segment;
  return {
    id,
    ...definitionOnWire(segment),
    salt,
    version,
    created_at: created_at.toISOString(),
    updated_at: updated_at.toISOString(),
  };
}

function tagVersion(reply: FastifyReply, version: number): void {
  reply.header('etag', `"${version}"`);
}

const entityTagsForm = /^\s*(?:W\/)?"[\x21\x23-\x7e\x80-\xff]*"(?:\s*,\s*(?:W\/)?"[\x21\x23-\x7e\x80-\xff]*")*\s*$/;

/** RFC 9110, 13.1.1: `*`, or entity tags, of which one has to be the version's, and a strong one. */
function readIfMatch(header: string | undefined): { ifMatch?: (version: number) => boolean } {
  if (header === undefined || header.trim() === '*') return {};
  if (!entityTagsForm.test(header)) throw invalid('/headers/if-match', 'must be a version in double quotes');
  const tags = new Set(header.split(',').map((tag) => tag.trim()));
  return { ifMatch: (version) => tags.has(`"${version}"`) };
}

export function segmentRoutes({ route }: Router, context: SegmentsContext & DeletionContext, once: Once): void {
  const { db } = context;

  route(contract.createSegment, ({ body, caller, idempotent }) => {
    refuseUntagged(caller.tags, body.tags ?? []);
    return once(idempotent, async (within) => {
      await refuseUnseenInCondition(within, caller.tags, body.condition);
      return createSegment(within, body, caller.actor);
    });
  });

  route(contract.listSegments, async ({ query, caller }) => {
    const { segments, next_cursor } = await listSegments(context, { ...query, keyTags: caller.tags });
    return { segments: segments.map(onWire), next_cursor };
  });

  route(contract.readSegment, async ({ params, caller, reply }) => {
    const segment = await readSegment(db, params.slug);
    tagVersion(reply, segment.version);
    const seen = await seenSlugs(db, caller.tags, segment.used_by);
    return { ...onWire(segment), used_by: segment.used_by.filter((slug) => seen.has(slug)) };
  });

  route(contract.changeSegment, async ({ params, body, caller, request, reply }) => {
    if (body.tags !== undefined) refuseUntagged(caller.tags, body.tags ?? []);
    await refuseUnseenInCondition(db, caller.tags, body.condition);
    const segment = await changeSegment(db, params.slug, body, {
      actor: caller.actor,
      ...readIfMatch(request.headers['if-match']),
    });
    tagVersion(reply, segment.version);
    return onWire(segment);
  });

  route(contract.deleteSegment, async ({ params, caller }) => {
    await deleteSegment(context, params.slug, caller.actor);
    return { status: 'ok' } as const;
  });

  route(contract.applyDefinitions, ({ body, caller }) => applyDefinitions(db, body, caller.actor));

  route(contract.segmentHistory, async ({ params, query }) => {
    const { events, next_cursor } = await historyOfSegment(context, params.slug, query);
    return {
      events: events.map(({ at, actor, action, before, after }) => ({
        at: at.toISOString(),
        actor,
        action,
        before: before && definitionOnWire(before),
        after: after && definitionOnWire(after),
      })),
      next_cursor,
    };
  });
}
