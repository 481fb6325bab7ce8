import Type from 'typebox';
import {
  deferrable,
  described,
  emptyIsAbsent,
  idempotent,
  maxListEntries,
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
  description: 'A share of the users, with at most three decimals. See [percentages](docs/percentage.md).',
});
export const Condition = Type.Record(Type.String(), Type.Unknown(), {
  description: 'A MongoDB query filter on the attributes of a user. See [conditions](docs/conditions.md).',
});
const Description = Type.String({ maxLength: 2000, description: 'For people to read.' });
const Tags = Type.Array(Tag, { maxItems: 50, description: 'A repeated tag counts once.' });

const RampPercentage = Type.Number({ minimum: 0, maximum: 100, description: 'At most three decimals.' });

export const Ramp = strict(
  {
    from: RampPercentage,
    to: RampPercentage,
    starts_at: described(Time, 'Until then the percentage is `from`.'),
    ends_at: described(Time, 'From then on it is `to`; later than `starts_at`.'),
  },
  {
    title: 'Ramp',
    description:
      'A percentage that changes over time, instead of `percentage`: linear between the two times, rounded down to three decimals. See [percentages](docs/percentage.md).',
  },
);

export const LayerRange = strict(
  {
    slug: described(Slug, 'The layer.'),
    from: Type.Number({ minimum: 0, maximum: 100, description: 'The first bucket; at most three decimals.' }),
    to: Type.Number({ minimum: 0, maximum: 100, description: 'The first bucket after the range; above `from`.' }),
  },
  {
    title: 'LayerRange',
    description:
      'A range of the buckets of a layer, instead of `percentage` and `ramp`. Ranges of one layer never overlap. See [percentages](docs/percentage.md).',
  },
);

export const BucketBy = Type.String({
  minLength: 1,
  maxLength: 1000,
  description:
    'A path in the attributes, such as `company.id`: the text or number there is the key of the bucket, so all users who share it are in or out together. Users without one are out. Null: the user.',
});

const time = {
  bucket_by: nullable(BucketBy),
  ramp: nullable(Ramp),
  layer: nullable(LayerRange),
  active_from: nullable(
    described(Time, 'The segment has no members before this time, regardless of overrides and rule.'),
  ),
  active_until: nullable(
    described(Time, 'The segment has no members from this time on, regardless of overrides and rule.'),
  ),
};

export const Segment = strict(
  {
    id: Type.Integer({ minimum: 1, description: 'The id of the segment, which a rename keeps.' }),
    slug: Slug,
    description: nullable(Description),
    tags: Type.Array(Tag),
    percentage: nullable(Percentage),
    condition: nullable(Condition),
    ...time,
    salt: Type.String({ description: 'A random text, generated once, from which buckets are computed.' }),
    version: Type.Integer({ minimum: 1, description: 'Increases by one with each change; for `If-Match`.' }),
    created_at: Time,
    updated_at: Time,
  },
  {
    title: 'Segment',
    description: 'Covers a list of users, a share of all, those who match a condition, or a share of those.',
  },
);

/** A single segment also reports which segments name it in their conditions. */
export const SegmentWithUses = strict(
  { ...Segment.properties, used_by: Type.Array(Slug, { description: 'Segments whose conditions name this one.' }) },
  { title: 'SegmentWithUses' },
);

export const Member = strict(
  {
    id: UserId,
    external_id: nullable(Type.String()),
    name: nullable(Type.String()),
    source: Source,
    since: nullable(Time),
    expires_at: nullable(Time),
  },
  { title: 'Member', description: 'A user who is in a segment. `since` is null where the definition let them in.' },
);

const rule = {
  percentage: Type.Optional(nullable(Percentage)),
  condition: Type.Optional(nullable(Condition)),
  bucket_by: Type.Optional(time.bucket_by),
  ramp: Type.Optional(time.ramp),
  layer: Type.Optional(time.layer),
  active_from: Type.Optional(time.active_from),
  active_until: Type.Optional(time.active_until),
};

const definition = {
  description: Type.Optional(nullable(Description)),
  tags: Type.Optional(nullable(Tags)),
  ...rule,
};

export const createSegment = endpoint({
  method: 'POST',
  path: '/api/segments',
  id: 'createSegment',
  tag: 'segments',
  summary: 'Create a segment',
  access: 'editor',
  taggedKeys: 'handled',
  seed: true,
  body: strict({ slug: Slug, ...definition }),
  headers: idempotent.headers,
  success: { status: 200, body: strict({ id: Type.Integer({ minimum: 1 }) }) },
  problems: ['slug_taken', 'layer_overlap', 'conditions_exhausted', ...idempotent.problems],
  example: {
    body: { slug: 'EARLY_ACCESS', percentage: 30, condition: { country: 'NL', orders: { $gte: 3 } } },
    answer: { id: 3 },
  },
});

export const listSegments = endpoint({
  method: 'GET',
  path: '/api/segments',
  id: 'listSegments',
  tag: 'segments',
  summary: 'Segments by slug; `query` searches in slug and description, case-insensitively',
  access: 'viewer',
  taggedKeys: 'handled',
  query: strict({
    query: Type.Optional(
      emptyIsAbsent(
        Type.String({ maxLength: 255, description: 'A part of the slug or the description, case-insensitive.' }),
      ),
    ),
    tag: Type.Optional(emptyIsAbsent(Type.String({ maxLength: 255, description: 'Only segments with this tag.' }))),
    ...page,
  }),
  success: {
    status: 200,
    body: strict({ segments: Type.Array(Segment), next_cursor: NextCursor }, { title: 'SegmentPage' }),
  },
  example: {
    query: { query: 'ship', tag: 'checkout', limit: 100 },
    answer: {
      segments: [
        {
          id: 2,
          slug: 'FREE_SHIPPING',
          description: 'Dutch shoppers with three orders',
          tags: ['checkout'],
          percentage: 30,
          condition: { country: 'NL', orders: { $gte: 3 } },
          bucket_by: null,
          ramp: null,
          layer: null,
          active_from: null,
          active_until: null,
          salt: 'fb92bd0772761b418f263b2c50f59ee2',
          version: 1,
          created_at: '2026-11-26T08:00:00.000Z',
          updated_at: '2026-11-26T08:00:00.000Z',
        },
      ],
      next_cursor: null,
    },
  },
});

export const readSegment = endpoint({
  method: 'GET',
  path: '/api/segments/{slug}',
  id: 'readSegment',
  tag: 'segments',
  summary: 'One segment; its version is also the ETag',
  access: 'viewer',
  taggedKeys: 'segment',
  params: slugParams,
  success: { status: 200, body: SegmentWithUses },
  problems: ['segment_unknown'],
  example: {
    params: { slug: 'FREE_SHIPPING' },
    answer: {
      id: 2,
      slug: 'FREE_SHIPPING',
      description: 'Dutch shoppers with three orders',
      tags: ['checkout'],
      percentage: 30,
      condition: { country: 'NL', orders: { $gte: 3 } },
      bucket_by: null,
      ramp: null,
      layer: null,
      active_from: null,
      active_until: null,
      salt: 'fb92bd0772761b418f263b2c50f59ee2',
      version: 1,
      created_at: '2026-11-26T08:00:00.000Z',
      updated_at: '2026-11-26T08:00:00.000Z',
      used_by: [],
    },
  },
});

export const changeSegment = endpoint({
  method: 'PATCH',
  path: '/api/segments/{slug}',
  id: 'changeSegment',
  tag: 'segments',
  summary: 'Change a segment; absent keeps, null clears; `If-Match: "<version>"` guards against concurrent changes',
  access: 'editor',
  taggedKeys: 'segment',
  params: slugParams,
  headers: Type.Object({
    'if-match': Type.Optional(
      Type.String({ description: 'The expected version, in quotes; 412 if it is another one.' }),
    ),
  }),
  body: strict({ slug: Type.Optional(Slug), ...definition }),
  success: { status: 200, body: Segment },
  problems: ['segment_unknown', 'slug_taken', 'layer_overlap', 'conditions_exhausted', 'version_stale'],
  example: {
    params: { slug: 'FREE_SHIPPING' },
    headers: { 'if-match': '"1"' },
    body: { percentage: 50 },
    answer: {
      id: 2,
      slug: 'FREE_SHIPPING',
      description: 'Dutch shoppers with three orders',
      tags: ['checkout'],
      percentage: 50,
      condition: { country: 'NL', orders: { $gte: 3 } },
      bucket_by: null,
      ramp: null,
      layer: null,
      active_from: null,
      active_until: null,
      salt: 'fb92bd0772761b418f263b2c50f59ee2',
      version: 2,
      created_at: '2026-11-26T08:00:00.000Z',
      updated_at: '2026-11-26T08:00:00.000Z',
    },
  },
});

export const deleteSegment = endpoint({
  method: 'DELETE',
  path: '/api/segments/{slug}',
  id: 'deleteSegment',
  tag: 'segments',
  summary: 'Delete a segment, at once for every reader',
  access: 'editor',
  taggedKeys: 'segment',
  seed: true,
  params: slugParams,
  success: { status: 200, body: StatusOk },
  problems: ['segment_unknown', 'segment_referenced'],
  example: {
    params: { slug: 'AVITO_DISCOUNT_50' },
    answer: { status: 'ok' },
  },
});

export const applyDefinitions = endpoint({
  method: 'POST',
  path: '/api/definitions/apply',
  id: 'applyDefinitions',
  tag: 'segments',
  summary: 'Create, replace and delete many definitions, all or nothing',
  description:
    'For definitions that are kept in files. Each segment is a complete definition: absent fields are cleared. `version` is the version that it replaces, null if the segment must not exist; if any segment is at another version, nothing changes. Named layers are created.',
  access: 'editor',
  body: strict({
    layers: Type.Optional(Type.Array(Slug, { maxItems: maxListEntries, description: 'Layers to create.' })),
    segments: Type.Optional(
      Type.Array(
        strict({
          slug: Slug,
          version: nullable(
            Type.Integer({
              minimum: 1,
              description: 'The version that is replaced; null: the segment must not exist.',
            }),
          ),
          ...definition,
        }),
        { maxItems: maxListEntries },
      ),
    ),
    delete: Type.Optional(
      Type.Array(strict({ slug: Slug, version: Type.Integer({ minimum: 1 }) }), { maxItems: maxListEntries }),
    ),
  }),
  success: {
    status: 200,
    body: strict({
      versions: Type.Record(Type.String(), Type.Integer({ minimum: 1 }), {
        description: 'The new versions of the given segments, by slug.',
      }),
    }),
  },
  problems: ['segment_referenced', 'slug_taken', 'version_stale', 'layer_overlap', 'conditions_exhausted'],
  example: {
    body: {
      segments: [{ slug: 'NEWCOMERS', version: null, tags: ['web'], condition: { orders: { $lt: 1 } } }],
      delete: [],
    },
    answer: { versions: { NEWCOMERS: 1 } },
  },
});

export const listMembers = endpoint({
  method: 'GET',
  path: '/api/segments/{slug}/users',
  id: 'listMembers',
  tag: 'segments',
  summary: 'All members now, by override or by rule, ordered by id',
  access: 'viewer',
  taggedKeys: 'segment',
  params: slugParams,
  query: strict(page),
  ...deferrable,
  success: {
    status: 200,
    body: strict({ users: Type.Array(Member), next_cursor: NextCursor }, { title: 'MemberPage' }),
  },
  problems: ['segment_unknown', 'overloaded'],
  example: {
    params: { slug: 'AVITO_DISCOUNT_50' },
    query: { limit: 100 },
    answer: {
      users: [
        {
          id: 3,
          external_id: 'shopper-4',
          name: null,
          source: 'include',
          since: '2026-11-26T08:00:00.000Z',
          expires_at: null,
        },
      ],
      next_cursor: null,
    },
  },
});

export const countMembers = endpoint({
  method: 'GET',
  path: '/api/segments/{slug}/count',
  id: 'countMembers',
  tag: 'segments',
  summary: 'The exact number of members now',
  access: 'viewer',
  taggedKeys: 'segment',
  params: slugParams,
  ...deferrable,
  success: { status: 200, body: strict({ count: Type.Integer({ minimum: 0 }) }) },
  problems: ['segment_unknown', 'overloaded'],
  example: { params: { slug: 'AVITO_DISCOUNT_50' }, answer: { count: 1 } },
});

const Warnings = Type.Array(
  strict({
    path: Type.String({ description: 'The place in the body, as a JSON pointer.' }),
    message: Type.String(),
  }),
  {
    description: 'Valid input that looks like a mistake: an attribute, or a type of it, that no user has.',
  },
);

export const previewSegment = endpoint({
  method: 'POST',
  path: '/api/segments/preview',
  id: 'previewSegment',
  tag: 'segments',
  summary: 'The users that a definition would cover; stores nothing',
  access: 'viewer',
  taggedKeys: 'handled',
  body: strict(rule),
  ...deferrable,
  success: {
    status: 200,
    body: strict(
      {
        count: Type.Integer({ minimum: 0, description: 'How many users it would cover.' }),
        total: Type.Integer({ minimum: 0, description: 'How many users there are.' }),
        sample: Type.Array(User, { maxItems: 10, description: 'Up to ten of those covered.' }),
        warnings: Warnings,
      },
      { title: 'Preview' },
    ),
  },
  problems: ['overloaded'],
  example: {
    body: { condition: { country: 'NL', orders: { $gte: 3 } } },
    answer: {
      count: 1,
      total: 4,
      sample: [
        {
          id: 3,
          external_id: 'shopper-4',
          name: null,
          attributes: { country: 'NL', orders: 5 },
          created_at: '2026-11-26T08:00:00.000Z',
        },
      ],
      warnings: [],
    },
  },
});

const UserCount = Type.Integer({ minimum: 0 });
const Sample = Type.Array(User, { maxItems: 10 });

export const previewChange = endpoint({
  method: 'POST',
  path: '/api/segments/{slug}/preview',
  id: 'previewChange',
  tag: 'segments',
  summary: 'The users who would enter and leave by a change; absent keeps, null clears; stores nothing',
  access: 'viewer',
  taggedKeys: 'segment',
  params: slugParams,
  body: strict(rule),
  ...deferrable,
  success: {
    status: 200,
    body: strict(
      {
        count: Type.Integer({ minimum: 0, description: 'How many users it would cover after the change.' }),
        total: Type.Integer({ minimum: 0, description: 'How many users there are.' }),
        entering: UserCount,
        leaving: UserCount,
        sample_entering: Sample,
        sample_leaving: Sample,
        warnings: Warnings,
      },
      { title: 'ChangePreview' },
    ),
  },
  problems: ['segment_unknown', 'overloaded'],
  example: {
    params: { slug: 'FREE_SHIPPING' },
    body: { condition: { country: 'NL', orders: { $gte: 10 } } },
    answer: {
      count: 0,
      total: 4,
      entering: 0,
      leaving: 1,
      sample_entering: [],
      sample_leaving: [
        {
          id: 3,
          external_id: 'shopper-4',
          name: null,
          attributes: { country: 'NL', orders: 5 },
          created_at: '2026-11-26T08:00:00.000Z',
        },
      ],
      warnings: [],
    },
  },
});

export const overlap = endpoint({
  method: 'POST',
  path: '/api/segments/overlap',
  id: 'overlap',
  tag: 'segments',
  summary: 'The exact overlap of two to ten segments now',
  access: 'viewer',
  taggedKeys: 'handled',
  body: strict({ segments: Type.Array(Slug, { minItems: 2, maxItems: 10, description: 'Distinct slugs.' }) }),
  ...deferrable,
  success: {
    status: 200,
    body: strict(
      {
        counts: Type.Record(Type.String(), UserCount, { description: 'The number of members of each.' }),
        pairs: Type.Array(strict({ a: Slug, b: Slug, both: UserCount }), {
          description: 'For each pair the number of users in both.',
        }),
        all: Type.Integer({ minimum: 0, description: 'Users in all of them.' }),
        any: Type.Integer({ minimum: 0, description: 'Users in at least one.' }),
      },
      { title: 'Overlap' },
    ),
  },
  problems: ['segment_unknown', 'overloaded'],
  example: {
    body: { segments: ['AVITO_DISCOUNT_50', 'FREE_SHIPPING'] },
    answer: {
      counts: { AVITO_DISCOUNT_50: 1, FREE_SHIPPING: 1 },
      pairs: [{ a: 'AVITO_DISCOUNT_50', b: 'FREE_SHIPPING', both: 1 }],
      all: 1,
      any: 1,
    },
  },
});

export const segmentSizes = endpoint({
  method: 'GET',
  path: '/api/segments/{slug}/sizes',
  id: 'segmentSizes',
  consistent: true,
  tag: 'segments',
  summary: 'The number of members over time',
  description: `Of a plain list the number at evenly spread moments, exactly, as history has it. Of a segment with a rule what was
measured, about once an hour and once a day past a week, and the exact number for now. Nothing lies before its creation.`,
  access: 'viewer',
  taggedKeys: 'segment',
  params: slugParams,
  query: strict({
    from: Type.Optional(Time),
    to: Type.Optional(Time),
    points: Type.Optional(
      Type.Integer({ minimum: 2, maximum: 500, default: 60, description: 'The maximum number of points.' }),
    ),
  }),
  success: {
    status: 200,
    body: strict(
      { points: Type.Array(strict({ at: Time, count: UserCount }), { description: 'In order of time.' }) },
      { title: 'Sizes' },
    ),
  },
  problems: ['segment_unknown', 'overloaded'],
  example: {
    params: { slug: 'AVITO_DISCOUNT_50' },
    query: { points: 2 },
    answer: {
      points: [
        { at: '2026-11-26T08:00:00.000Z', count: 0 },
        { at: '2026-11-26T09:00:00.000Z', count: 1 },
      ],
    },
  },
});

/** The definition of a segment before or after a change. */
export const Definition = strict(
  {
    slug: Slug,
    description: nullable(Description),
    tags: Type.Array(Tag),
    percentage: nullable(Percentage),
    condition: nullable(Condition),
    ...time,
  },
  { title: 'Definition', description: 'The definition of a segment before or after a change.' },
);

export const SegmentEvent = strict(
  {
    at: Time,
    actor: Type.String({ description: '`user:<id>`, `key:<id>`, `anonymous` or `system`.' }),
    action: Type.Enum(['create', 'update', 'delete']),
    before: nullable(Definition),
    after: nullable(Definition),
  },
  { title: 'SegmentEvent', description: 'One change of a definition.' },
);

export const segmentHistory = endpoint({
  method: 'GET',
  path: '/api/segments/{slug}/history',
  id: 'segmentHistory',
  tag: 'segments',
  summary: 'Changes of the definition, newest first',
  access: 'viewer',
  taggedKeys: 'segment',
  params: slugParams,
  query: strict(page),
  success: {
    status: 200,
    body: strict({
      events: Type.Array(SegmentEvent),
      next_cursor: NextCursor,
    }),
  },
  problems: ['segment_unknown'],
  example: {
    params: { slug: 'FREE_SHIPPING' },
    query: { limit: 100 },
    answer: {
      events: [
        {
          at: '2026-11-26T08:00:00.000Z',
          actor: 'user:1',
          action: 'create',
          before: null,
          after: {
            slug: 'FREE_SHIPPING',
            description: 'Dutch shoppers with three orders',
            tags: ['checkout'],
            percentage: 30,
            condition: { country: 'NL', orders: { $gte: 3 } },
            bucket_by: null,
            ramp: null,
            layer: null,
            active_from: null,
            active_until: null,
          },
        },
      ],
      next_cursor: null,
    },
  },
});
