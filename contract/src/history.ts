import Type from 'typebox';
import { described, emptyIsAbsent, NextCursor, nullable, page, Slug, strict, Time, userParams } from './common.ts';
import { endpoint } from './endpoint.ts';

export const UserEvent = strict(
  {
    at: Time,
    slug: Slug,
    action: Type.Enum(['add', 'update', 'remove', 'expire'], {
      description: '`update` is another expiry; `expire` is dated with the moment it ended.',
    }),
    source: Type.String({ description: '`include` or `exclude`; `import:<job>` for a bulk change.' }),
    expires_at: nullable(Time),
    actor: Type.String({ description: '`user:<id>`, `key:<id>`, `anonymous` or `system`.' }),
  },
  { title: 'UserEvent', description: 'One change of an override.' },
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
    from: Type.Optional(emptyIsAbsent(described(Time, 'The first moment that counts (RFC 3339).'))),
    to: Type.Optional(emptyIsAbsent(described(Time, 'The first moment that no longer counts (RFC 3339).'))),
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
