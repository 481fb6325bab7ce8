import Type from 'typebox';
import {
  described,
  ExternalId,
  emptyIsAbsent,
  NextCursor,
  nullable,
  page,
  Slug,
  slugParams,
  strict,
  Time,
  UserId,
  userParams,
} from './common.ts';
import { endpoint } from './endpoint.ts';

const change = {
  action: Type.Enum(['add', 'update', 'remove', 'expire'], {
    description: '`update` is another expiry or mode; `expire` is dated with the expiry.',
  }),
  source: Type.String({ description: '`include` or `exclude`; `import:<job>` for a bulk change.' }),
  expires_at: nullable(Time),
  actor: Type.String({ description: '`user:<id>`, `key:<id>`, `anonymous` or `system`.' }),
};

const range = {
  from: Type.Optional(emptyIsAbsent(described(Time, 'The first moment that counts (RFC 3339).'))),
  to: Type.Optional(emptyIsAbsent(described(Time, 'The first moment that no longer counts (RFC 3339).'))),
};

export const UserEvent = strict(
  { at: Time, slug: Slug, ...change },
  { title: 'UserEvent', description: 'One change of an override.' },
);

export const SegmentChange = strict(
  {
    at: Time,
    user_id: UserId,
    external_id: nullable(ExternalId),
    ...change,
  },
  {
    title: 'SegmentChange',
    description: 'One change of an override in a segment. Of an erased user only the id is left.',
  },
);

export const userHistory = endpoint({
  method: 'GET',
  path: '/api/users/{user}/history',
  id: 'userHistory',
  tag: 'history',
  summary: 'Every change of the overrides of a user, newest first; `from` is included, `to` is not',
  access: 'self',
  taggedKeys: 'handled',
  params: userParams,
  query: strict({
    ...range,
    segment: Type.Optional(emptyIsAbsent(described(Slug, 'Only changes in this segment.'))),
    ...page,
  }),
  success: {
    status: 200,
    body: strict({
      events: Type.Array(UserEvent),
      next_cursor: NextCursor,
    }),
  },
  problems: ['user_unknown'],
  example: {
    params: { user: 'ext:shopper-4' },
    query: { from: '2026-01-01T00:00:00Z', segment: 'AVITO_DISCOUNT_50' },
    answer: {
      events: [
        {
          at: '2026-11-26T08:00:00.000Z',
          slug: 'AVITO_DISCOUNT_50',
          action: 'add',
          source: 'include',
          expires_at: null,
          actor: 'user:1',
        },
      ],
      next_cursor: null,
    },
  },
});

export const segmentChanges = endpoint({
  method: 'GET',
  path: '/api/segments/{slug}/changes',
  id: 'segmentChanges',
  tag: 'history',
  summary: 'Every change of the overrides in a segment, newest first; `from` is included, `to` is not',
  description: `Who was put in, taken out or excluded, when and by whom. Whom a rule lets in or not is no change of an override; of
the rule itself \`GET /api/segments/{slug}/history\` has the changes.`,
  access: 'viewer',
  taggedKeys: 'segment',
  params: slugParams,
  query: strict({ ...range, ...page }),
  success: {
    status: 200,
    body: strict({ changes: Type.Array(SegmentChange), next_cursor: NextCursor }),
  },
  problems: ['segment_unknown', 'overloaded'],
  example: {
    params: { slug: 'AVITO_DISCOUNT_50' },
    query: { from: '2026-01-01T00:00:00Z' },
    answer: {
      changes: [
        {
          at: '2026-11-26T08:00:00.000Z',
          user_id: 3,
          external_id: 'shopper-4',
          action: 'add',
          source: 'include',
          expires_at: null,
          actor: 'user:1',
        },
      ],
      next_cursor: null,
    },
  },
});
