import Type from 'typebox';
import {
  emptyIsAbsent,
  idempotent,
  NextCursor,
  nullable,
  page,
  Slug,
  StatusOk,
  slugParams,
  strict,
  Time,
  UserId,
} from './common.ts';
import { endpoint } from './endpoint.ts';
import { Source } from './memberships.ts';
import { User } from './users.ts';

export const Tag = Type.String({ pattern: '^[^\\u0000-\\u001f\\u007f-\\u009f]{1,64}$' });
export const Percentage = Type.Number({
  minimum: 0,
  maximum: 100,
  description: 'At most three decimals. See docs/percentage.md.',
});
export const Condition = Type.Record(Type.String(), Type.Unknown(), {
  description: 'A MongoDB query filter on the attributes of a user. See docs/conditions.md.',
});
const Description = Type.String({ maxLength: 2000 });
const Tags = Type.Array(Tag, { maxItems: 50, description: 'A tag that is named twice counts once.' });

export const Segment = strict({
  id: Type.Integer({ minimum: 1 }),
  slug: Slug,
  description: nullable(Description),
  tags: Type.Array(Tag),
  percentage: nullable(Percentage),
  condition: nullable(Condition),
  salt: Type.String(),
  version: Type.Integer({ minimum: 1 }),
  created_at: Time,
  updated_at: Time,
});

/** One segment on its own also tells which segments name it in their conditions. */
export const SegmentWithUses = strict({ ...Segment.properties, used_by: Type.Array(Slug) });

const definition = {
  description: Type.Optional(nullable(Description)),
  tags: Type.Optional(nullable(Tags)),
  percentage: Type.Optional(nullable(Percentage)),
  condition: Type.Optional(nullable(Condition)),
};

export const createSegment = endpoint({
  method: 'POST',
  path: '/api/segments',
  id: 'createSegment',
  tag: 'segments',
  summary: 'Create a segment',
  access: 'editor',
  seed: true,
  body: strict({ slug: Slug, ...definition }),
  headers: idempotent.headers,
  success: { status: 200, body: strict({ id: Type.Integer({ minimum: 1 }) }) },
  problems: ['slug_taken', ...idempotent.problems],
});

export const listSegments = endpoint({
  method: 'GET',
  path: '/api/segments',
  id: 'listSegments',
  tag: 'segments',
  summary: 'Segments, ordered by slug; `query` looks for a part of the slug or the description, without regard to case',
  access: 'viewer',
  query: strict({
    query: Type.Optional(emptyIsAbsent(Type.String({ maxLength: 255 }))),
    tag: Type.Optional(emptyIsAbsent(Type.String({ maxLength: 255 }))),
    ...page,
  }),
  success: { status: 200, body: strict({ segments: Type.Array(Segment), next_cursor: NextCursor }) },
});

export const readSegment = endpoint({
  method: 'GET',
  path: '/api/segments/{slug}',
  id: 'readSegment',
  tag: 'segments',
  summary: 'One segment; its version is also the ETag',
  access: 'viewer',
  params: slugParams,
  success: { status: 200, body: SegmentWithUses },
  problems: ['segment_unknown'],
});

export const changeSegment = endpoint({
  method: 'PATCH',
  path: '/api/segments/{slug}',
  id: 'changeSegment',
  tag: 'segments',
  summary: 'Change a segment; absent keeps, null clears; `If-Match: "<version>"` guards against a change in between',
  access: 'editor',
  params: slugParams,
  headers: Type.Object({ 'if-match': Type.Optional(Type.String()) }),
  body: strict({ slug: Type.Optional(Slug), ...definition }),
  success: { status: 200, body: Segment },
  problems: ['segment_unknown', 'slug_taken', 'version_stale'],
});

export const deleteSegment = endpoint({
  method: 'DELETE',
  path: '/api/segments/{slug}',
  id: 'deleteSegment',
  tag: 'segments',
  summary: 'Delete a segment: at once gone for every reader',
  access: 'editor',
  seed: true,
  params: slugParams,
  success: { status: 200, body: StatusOk },
  problems: ['segment_unknown', 'segment_referenced'],
});

export const listMembers = endpoint({
  method: 'GET',
  path: '/api/segments/{slug}/users',
  id: 'listMembers',
  tag: 'segments',
  summary: 'Everyone in it now, by whatever path, ordered by id',
  access: 'viewer',
  params: slugParams,
  query: strict(page),
  success: {
    status: 200,
    body: strict({
      users: Type.Array(
        strict({
          id: UserId,
          external_id: nullable(Type.String()),
          name: nullable(Type.String()),
          source: Source,
          since: nullable(Time),
          expires_at: nullable(Time),
        }),
      ),
      next_cursor: NextCursor,
    }),
  },
  problems: ['segment_unknown'],
});

export const countMembers = endpoint({
  method: 'GET',
  path: '/api/segments/{slug}/count',
  id: 'countMembers',
  tag: 'segments',
  summary: 'How many are in it now, exactly',
  access: 'viewer',
  params: slugParams,
  success: { status: 200, body: strict({ count: Type.Integer({ minimum: 0 }) }) },
  problems: ['segment_unknown'],
});

export const previewSegment = endpoint({
  method: 'POST',
  path: '/api/segments/preview',
  id: 'previewSegment',
  tag: 'segments',
  summary: 'Whom a definition would cover; saves nothing',
  access: 'viewer',
  body: strict({ percentage: Type.Optional(nullable(Percentage)), condition: Type.Optional(nullable(Condition)) }),
  success: {
    status: 200,
    body: strict({
      count: Type.Integer({ minimum: 0 }),
      total: Type.Integer({ minimum: 0 }),
      sample: Type.Array(User, { maxItems: 10 }),
    }),
  },
});

/** What a change of a segment is about: the state of its definition on one side of the change. */
export const Definition = strict({
  slug: Slug,
  description: nullable(Description),
  tags: Type.Array(Tag),
  percentage: nullable(Percentage),
  condition: nullable(Condition),
});

export const segmentHistory = endpoint({
  method: 'GET',
  path: '/api/segments/{slug}/history',
  id: 'segmentHistory',
  tag: 'segments',
  summary: 'Changes of the definition, newest first',
  access: 'viewer',
  params: slugParams,
  query: strict(page),
  success: {
    status: 200,
    body: strict({
      events: Type.Array(
        strict({
          at: Time,
          actor: Type.String(),
          action: Type.Enum(['create', 'update', 'delete']),
          before: nullable(Definition),
          after: nullable(Definition),
        }),
      ),
      next_cursor: NextCursor,
    }),
  },
  problems: ['segment_unknown'],
});
