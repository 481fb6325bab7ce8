import Type from 'typebox';
import {
  described,
  ExpiresAt,
  ExternalId,
  emptyIsAbsent,
  idempotent,
  maxListEntries,
  Name,
  NextCursor,
  nullable,
  page,
  pairParams,
  Slug,
  StatusOk,
  slugParams,
  strict,
  Time,
  Ttl,
  UserId,
  UserRefText,
  userParams,
} from './common.ts';
import { endpoint } from './endpoint.ts';

/** Why a user is in (or, with `exclude` and `none`, out). */
export const Source = Type.Enum(['include', 'exclude', 'percentage', 'condition', 'percentage+condition', 'none'], {
  description: 'The deciding part: an override (`include`, `exclude`), or the definition of the segment.',
});

export const Membership = strict(
  { slug: Slug, source: Source, since: nullable(Time), expires_at: nullable(Time) },
  {
    title: 'Membership',
    description: 'A segment that a user is in. `since` is null where percentage or condition let them in.',
  },
);

export const Explanation = strict(
  {
    member: Type.Boolean({ description: 'Whether the user is in.' }),
    source: Source,
    expires_at: nullable(Time),
    bucket: nullable(
      Type.Number({
        minimum: 0,
        exclusiveMaximum: 100,
        description:
          'The bucket of the user, who is in if it is below the percentage. See [percentages](docs/percentage.md).',
      }),
    ),
    percentage: nullable(
      Type.Number({ minimum: 0, maximum: 100, description: 'The current value, if there is a percentage or a ramp.' }),
    ),
    matched: nullable(Type.Boolean({ description: 'Whether the condition matches; null if there is none.' })),
  },
  { title: 'Explanation', description: 'Whether a user is in a segment, and why.' },
);

export const Resolved = strict(
  {
    user: Type.String({ description: 'As in the request.' }),
    segments: nullable(Type.Array(Slug, { description: 'Sorted by slug; null for an unknown user.' })),
  },
  { title: 'Resolved' },
);

const expiry = { expires_at: Type.Optional(nullable(ExpiresAt)), ttl: Type.Optional(Ttl) };

export const addToSegment = endpoint({
  method: 'POST',
  path: '/api/users/{user}/segments',
  id: 'addToSegment',
  tag: 'memberships',
  summary: 'Add a user to a segment, permanently or until a time; registers an unknown `ext:` id',
  access: 'editor',
  taggedKeys: 'handled',
  seed: true,
  params: userParams,
  body: strict({ slug: Slug, ...expiry }),
  success: { status: 200, body: StatusOk },
  problems: ['user_unknown', 'segment_unknown', 'overloaded'],
  example: {
    params: { user: '2' },
    body: { slug: 'AVITO_DISCOUNT_50' },
    answer: { status: 'ok' },
  },
});

const removal = {
  method: 'DELETE',
  tag: 'memberships',
  summary: 'Remove a user from a segment',
  access: 'editor',
  taggedKeys: 'segment',
  seed: true,
  params: pairParams,
  success: { status: 200, body: StatusOk },
  problems: ['user_unknown', 'segment_unknown', 'overloaded'],
} as const;

export const removeFromSegment = endpoint({
  ...removal,
  path: '/api/users/{user}/segments/{slug}',
  id: 'removeFromSegment',
  example: {
    params: { user: '2', slug: 'AVITO_DISCOUNT_50' },
    answer: { status: 'ok' },
  },
});
export const removeFromSegmentShort = endpoint({
  ...removal,
  path: '/api/users/{user}/{slug}',
  id: 'removeFromSegmentShort',
  example: {
    params: { user: '2', slug: 'AVITO_DISCOUNT_50' },
    answer: { status: 'ok' },
  },
});

export const setOverride = endpoint({
  method: 'PUT',
  path: '/api/users/{user}/segments/{slug}',
  id: 'setOverride',
  tag: 'memberships',
  summary: 'Set or drop the override of a user in a segment; registers an unknown `ext:` id',
  access: 'editor',
  taggedKeys: 'segment',
  params: pairParams,
  body: strict({
    mode: Type.Enum(['include', 'exclude', 'auto'], {
      description: '`auto` drops the override: the definition decides again.',
    }),
    ...expiry,
  }),
  success: { status: 200, body: StatusOk },
  problems: ['user_unknown', 'segment_unknown', 'overloaded'],
  example: {
    params: { user: 'ext:shopper-4', slug: 'FREE_SHIPPING' },
    body: { mode: 'exclude', ttl: 86400 },
    answer: { status: 'ok' },
  },
});

export const changeSegments = endpoint({
  method: 'PATCH',
  path: '/api/users/{user}/segments',
  id: 'changeSegments',
  tag: 'memberships',
  summary: 'Add and remove several segments of a user, all or nothing; registers an unknown `ext:` id',
  access: 'editor',
  taggedKeys: 'handled',
  params: userParams,
  body: strict({
    add: Type.Optional(Type.Array(Type.Union([Slug, strict({ slug: Slug, ...expiry })]), { maxItems: maxListEntries })),
    remove: Type.Optional(Type.Array(Slug, { maxItems: maxListEntries })),
  }),
  success: { status: 200, body: StatusOk },
  problems: ['user_unknown', 'segment_unknown', 'overloaded'],
  example: {
    params: { user: 'ext:shopper-4' },
    body: { add: [{ slug: 'FREE_SHIPPING', ttl: 3600 }], remove: ['AVITO_DISCOUNT_50'] },
    answer: { status: 'ok' },
  },
});

export const changeMembers = endpoint({
  method: 'PATCH',
  path: '/api/segments/{slug}/users',
  id: 'changeMembers',
  tag: 'memberships',
  summary: 'Add and remove up to 1,000 users of a segment, all or nothing; registers unknown `ext:` ids in `add`',
  description:
    'Each user may be named once. The answer counts them; `updated` are those who had another expiry or an exclude. The 404 names every unknown user.',
  access: 'editor',
  taggedKeys: 'segment',
  params: slugParams,
  headers: idempotent.headers,
  body: strict({
    add: Type.Optional(
      Type.Array(Type.Union([UserRefText, strict({ user: UserRefText, ...expiry })]), { maxItems: maxListEntries }),
    ),
    remove: Type.Optional(Type.Array(UserRefText, { maxItems: maxListEntries })),
  }),
  success: {
    status: 200,
    body: strict({
      added: Type.Integer({ minimum: 0 }),
      updated: Type.Integer({ minimum: 0 }),
      removed: Type.Integer({ minimum: 0 }),
      unchanged: Type.Integer({ minimum: 0 }),
    }),
  },
  problems: ['user_unknown', 'segment_unknown', 'overloaded', ...idempotent.problems],
  example: {
    params: { slug: 'FREE_SHIPPING' },
    body: { add: ['ext:shopper-5', { user: 'ext:shopper-6', ttl: 86400 }], remove: ['2'] },
    answer: { added: 2, updated: 0, removed: 0, unchanged: 1 },
  },
});

export const Override = strict(
  {
    user_id: UserId,
    external_id: nullable(ExternalId),
    name: nullable(Name),
    mode: Type.Enum(['include', 'exclude']),
    since: Time,
    expires_at: nullable(Time),
  },
  { title: 'Override', description: 'Puts a user into a segment or keeps them out, regardless of its rule.' },
);

export const listOverrides = endpoint({
  method: 'GET',
  path: '/api/segments/{slug}/overrides',
  id: 'listOverrides',
  tag: 'memberships',
  summary: 'The overrides of a segment that have not expired, by user; `mode` selects one kind',
  access: 'viewer',
  taggedKeys: 'segment',
  params: slugParams,
  query: strict({
    mode: Type.Optional(
      emptyIsAbsent(
        Type.Enum(['include', 'exclude'], {
          description: '`include`: users put in, including members of a list. `exclude`: users kept out.',
        }),
      ),
    ),
    ...page,
  }),
  success: {
    status: 200,
    body: strict({ overrides: Type.Array(Override), next_cursor: NextCursor }),
  },
  problems: ['segment_unknown', 'overloaded'],
  example: {
    params: { slug: 'AVITO_DISCOUNT_50' },
    query: { mode: 'include' },
    answer: {
      overrides: [
        {
          user_id: 3,
          external_id: 'shopper-4',
          name: null,
          mode: 'include',
          since: '2026-11-26T08:00:00.000Z',
          expires_at: null,
        },
      ],
      next_cursor: null,
    },
  },
});

export const listUserSegments = endpoint({
  method: 'GET',
  path: '/api/users/{user}/segments',
  id: 'listUserSegments',
  consistent: true,
  tag: 'memberships',
  summary: 'The segments a user is in, sorted by slug; `at` selects a past moment',
  access: 'self',
  taggedKeys: 'handled',
  seed: true,
  params: userParams,
  query: strict({ at: Type.Optional(described(Time, 'A moment of the past (RFC 3339); now if left out.')) }),
  success: { status: 200, body: strict({ segments: Type.Array(Slug) }, { title: 'UserSegments' }) },
  problems: ['user_unknown', 'overloaded'],
  example: {
    params: { user: 'ext:shopper-4' },
    answer: { segments: ['AVITO_DISCOUNT_50', 'FREE_SHIPPING'] },
  },
});

export const explainPair = endpoint({
  method: 'GET',
  path: '/api/users/{user}/segments/{slug}',
  id: 'explainPair',
  consistent: true,
  tag: 'memberships',
  summary: 'Whether a user is in a segment, and why',
  access: 'self',
  taggedKeys: 'segment',
  params: pairParams,
  success: {
    status: 200,
    body: Explanation,
  },
  problems: ['user_unknown', 'segment_unknown', 'overloaded'],
  example: {
    params: { user: 'ext:shopper-4', slug: 'FREE_SHIPPING' },
    answer: {
      member: true,
      source: 'percentage+condition',
      expires_at: null,
      bucket: 10.875707445666194,
      percentage: 30,
      matched: true,
    },
  },
});

export const listMemberships = endpoint({
  method: 'GET',
  path: '/api/users/{user}/memberships',
  id: 'listMemberships',
  consistent: true,
  tag: 'memberships',
  summary: 'The segments a user is in, with the reason of each',
  access: 'self',
  taggedKeys: 'handled',
  params: userParams,
  success: {
    status: 200,
    body: strict({
      memberships: Type.Array(Membership),
    }),
  },
  problems: ['user_unknown', 'overloaded', 'answer_too_large'],
  example: {
    params: { user: 'ext:shopper-4' },
    answer: {
      memberships: [
        { slug: 'AVITO_DISCOUNT_50', source: 'include', since: '2026-11-26T08:00:00.000Z', expires_at: null },
        { slug: 'FREE_SHIPPING', source: 'percentage+condition', since: null, expires_at: null },
      ],
    },
  },
});

export const resolve = endpoint({
  method: 'POST',
  path: '/api/resolve',
  id: 'resolve',
  consistent: true,
  tag: 'memberships',
  summary: 'The segments of many users at once, in the order asked; `segments` narrows the answer',
  access: 'viewer',
  taggedKeys: 'handled',
  body: strict({
    users: Type.Array(Type.String(), { maxItems: maxListEntries, description: '`2` or `ext:shopper-4` each.' }),
    segments: Type.Optional(
      Type.Array(Slug, {
        maxItems: maxListEntries,
        description: 'Limits the answer to these; unknown ones are ignored.',
      }),
    ),
  }),
  success: {
    status: 200,
    body: strict({
      results: Type.Array(Resolved),
    }),
  },
  problems: ['overloaded', 'answer_too_large'],
  example: {
    body: { users: ['2', 'ext:shopper-4', 'ext:stranger'] },
    answer: {
      results: [
        { user: '2', segments: [] },
        { user: 'ext:shopper-4', segments: ['AVITO_DISCOUNT_50', 'FREE_SHIPPING'] },
        { user: 'ext:stranger', segments: null },
      ],
    },
  },
});
