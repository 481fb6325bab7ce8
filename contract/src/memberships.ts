import Type from 'typebox';
import {
  ExpiresAt,
  maxListEntries,
  nullable,
  pairParams,
  Slug,
  StatusOk,
  strict,
  Time,
  Ttl,
  userParams,
} from './common.ts';
import { endpoint } from './endpoint.ts';

/** Why a user is in (or, with `exclude` and `none`, out). */
export const Source = Type.Enum(['include', 'exclude', 'percentage', 'condition', 'percentage+condition', 'none']);

const expiry = { expires_at: Type.Optional(nullable(ExpiresAt)), ttl: Type.Optional(Ttl) };

export const addToSegment = endpoint({
  method: 'POST',
  path: '/api/users/{user}/segments',
  id: 'addToSegment',
  tag: 'memberships',
  summary: 'Put a user into a segment, for good or until a time; registers an unknown `ext:` id',
  access: 'editor',
  seed: true,
  params: userParams,
  body: strict({ slug: Slug, ...expiry }),
  success: { status: 200, body: StatusOk },
  problems: ['user_unknown', 'segment_unknown', 'overloaded'],
});

const removal = {
  method: 'DELETE',
  tag: 'memberships',
  summary: 'Take a user out of a segment',
  access: 'editor',
  seed: true,
  params: pairParams,
  success: { status: 200, body: StatusOk },
  problems: ['user_unknown', 'segment_unknown', 'overloaded'],
} as const;

export const removeFromSegment = endpoint({
  ...removal,
  path: '/api/users/{user}/segments/{slug}',
  id: 'removeFromSegment',
});
export const removeFromSegmentShort = endpoint({
  ...removal,
  path: '/api/users/{user}/{slug}',
  id: 'removeFromSegmentShort',
});

export const setOverride = endpoint({
  method: 'PUT',
  path: '/api/users/{user}/segments/{slug}',
  id: 'setOverride',
  tag: 'memberships',
  summary: 'Set or drop the override of a user in a segment; registers an unknown `ext:` id',
  access: 'editor',
  params: pairParams,
  body: strict({
    mode: Type.Enum(['include', 'exclude', 'auto']),
    ...expiry,
  }),
  success: { status: 200, body: StatusOk },
  problems: ['user_unknown', 'segment_unknown', 'overloaded'],
});

export const changeSegments = endpoint({
  method: 'PATCH',
  path: '/api/users/{user}/segments',
  id: 'changeSegments',
  tag: 'memberships',
  summary: 'Add and remove several segments of a user, all or nothing; registers an unknown `ext:` id',
  access: 'editor',
  params: userParams,
  body: strict({
    add: Type.Optional(Type.Array(Type.Union([Slug, strict({ slug: Slug, ...expiry })]), { maxItems: maxListEntries })),
    remove: Type.Optional(Type.Array(Slug, { maxItems: maxListEntries })),
  }),
  success: { status: 200, body: StatusOk },
  problems: ['user_unknown', 'segment_unknown', 'overloaded'],
});

export const listUserSegments = endpoint({
  method: 'GET',
  path: '/api/users/{user}/segments',
  id: 'listUserSegments',
  tag: 'memberships',
  summary: 'The segments a user is in, sorted by slug; `at` asks for a past moment',
  access: 'self',
  seed: true,
  params: userParams,
  query: strict({ at: Type.Optional(Time) }),
  success: { status: 200, body: strict({ segments: Type.Array(Slug) }) },
  problems: ['user_unknown', 'overloaded'],
});

export const explainPair = endpoint({
  method: 'GET',
  path: '/api/users/{user}/segments/{slug}',
  id: 'explainPair',
  tag: 'memberships',
  summary: 'Whether a user is in a segment, and why',
  access: 'self',
  params: pairParams,
  success: {
    status: 200,
    body: strict({
      member: Type.Boolean(),
      source: Source,
      expires_at: nullable(Time),
      bucket: nullable(Type.Number({ minimum: 0, exclusiveMaximum: 100 })),
      matched: nullable(Type.Boolean()),
    }),
  },
  problems: ['user_unknown', 'segment_unknown', 'overloaded'],
});

export const listMemberships = endpoint({
  method: 'GET',
  path: '/api/users/{user}/memberships',
  id: 'listMemberships',
  tag: 'memberships',
  summary: 'The segments a user is in, with the reason of each',
  access: 'self',
  params: userParams,
  success: {
    status: 200,
    body: strict({
      memberships: Type.Array(
        strict({ slug: Slug, source: Source, since: nullable(Time), expires_at: nullable(Time) }),
      ),
    }),
  },
  problems: ['user_unknown'],
});

export const resolve = endpoint({
  method: 'POST',
  path: '/api/resolve',
  id: 'resolve',
  tag: 'memberships',
  summary: 'The segments of many users at once, in the order asked; `segments` narrows the answer',
  access: 'viewer',
  body: strict({
    users: Type.Array(Type.String(), { maxItems: maxListEntries }),
    segments: Type.Optional(Type.Array(Slug, { maxItems: maxListEntries })),
  }),
  success: {
    status: 200,
    body: strict({
      results: Type.Array(strict({ user: Type.String(), segments: nullable(Type.Array(Slug)) })),
    }),
  },
  problems: ['overloaded'],
});
