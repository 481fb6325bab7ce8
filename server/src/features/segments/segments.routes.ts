import { segments as contract, invalid } from '@kohort/contract';
import type { FastifyReply } from 'fastify';
import type { Router } from '../../http/route.ts';
import type { Db } from '../../postgres/database.ts';
import type { Once } from '../idempotency/idempotency.ts';
import { refuseUnseenInCondition, refuseUntagged, seenSlugs } from './scope.ts';
import type { DefinitionFields } from './segments.sql.ts';
import type { Segment, Segments } from './segments.ts';

function onWire({
  id,
  slug,
  description,
  tags,
  percentage,
  condition,
  salt,
  version,
  created_at,
  updated_at,
}: Segment) {
  return {
    id,
    slug,
    description,
    tags,
    percentage,
    condition,
    salt,
    version,
    created_at: created_at.toISOString(),
    updated_at: updated_at.toISOString(),
  };
}

function definitionOnWire(fields: DefinitionFields | null) {
  return fields && { ...fields, tags: [...fields.tags] };
}

function tagVersion(reply: FastifyReply, version: number): void {
  reply.header('etag', `"${version}"`);
}

const ENTITY_TAGS = /^\s*(?:W\/)?"[\x21\x23-\x7e\x80-\xff]*"(?:\s*,\s*(?:W\/)?"[\x21\x23-\x7e\x80-\xff]*")*\s*$/;

/** RFC 9110, 13.1.1: `*`, or entity tags, of which one has to be the version's, and a strong one. */
function readIfMatch(header: string | undefined): { ifMatch?: (version: number) => boolean } {
  if (header === undefined || header.trim() === '*') return {};
  if (!ENTITY_TAGS.test(header)) throw invalid('/headers/if-match', 'must be a version in double quotes');
  const tags = new Set(header.split(',').map((tag) => tag.trim()));
  return { ifMatch: (version) => tags.has(`"${version}"`) };
}

export function segmentRoutes(
  { route }: Router,
  db: Db,
  segments: Segments,
  once: Once,
  /** What goes with a deletion, outside its transaction. */
  onDelete: { before: (slug: string) => Promise<void>; after: (segmentId: number) => Promise<void> },
): void {
  route(contract.createSegment, ({ body, caller, idempotent }) => {
    refuseUntagged(caller.tags, body.tags ?? []);
    return once(idempotent, async (db) => {
      await refuseUnseenInCondition(db, caller.tags, body.condition);
      return segments.create(db, body, caller.actor);
    });
  });

  route(contract.listSegments, async ({ query, caller }) => {
    const page = await segments.list({ ...query, keyTags: caller.tags });
    return { segments: page.segments.map(onWire), next_cursor: page.next_cursor };
  });

  route(contract.readSegment, async ({ params, caller, reply }) => {
    const segment = await segments.read(params.slug);
    tagVersion(reply, segment.version);
    const seen = await seenSlugs(db, caller.tags, segment.used_by);
    return { ...onWire(segment), used_by: segment.used_by.filter((slug) => seen.has(slug)) };
  });

  route(contract.changeSegment, async ({ params, body, caller, request, reply }) => {
    if (body.tags !== undefined) refuseUntagged(caller.tags, body.tags ?? []);
    await refuseUnseenInCondition(db, caller.tags, body.condition);
    const segment = await segments.change(params.slug, body, {
      actor: caller.actor,
      ...readIfMatch(request.headers['if-match']),
    });
    tagVersion(reply, segment.version);
    return onWire(segment);
  });

  route(contract.deleteSegment, async ({ params, caller }) => {
    await onDelete.before(params.slug);
    const { id } = await segments.remove(params.slug, caller.actor);
    await onDelete.after(id);
    return { status: 'ok' } as const;
  });

  route(contract.segmentHistory, async ({ params, query }) => {
    const { events, next_cursor } = await segments.history(params.slug, query);
    return {
      events: events.map(({ at, actor, action, before, after }) => ({
        at: at.toISOString(),
        actor,
        action,
        before: definitionOnWire(before),
        after: definitionOnWire(after),
      })),
      next_cursor,
    };
  });
}
